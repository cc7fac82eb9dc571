package ingest

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"

	"siaran"
)

// fullParent is a WHEP server on pion/webrtc as many are: full ICE, and answers with every codec that it knows.
type fullParent struct {
	t     testing.TB
	role  webrtc.DTLSRole
	video string

	requests atomic.Int32 // for key frames
}

// exchange answers an offer and begins to send. edit changes what the edge sees of the answer.
func (f *fullParent) exchange(edit func([]byte) []byte) func(context.Context, []byte) (PullAnswer, error) {
	return func(_ context.Context, offer []byte) (PullAnswer, error) {
		var engine webrtc.MediaEngine
		if err := engine.RegisterDefaultCodecs(); err != nil {
			return PullAnswer{}, err
		}
		registry := &interceptor.Registry{}
		if err := webrtc.RegisterDefaultInterceptors(&engine, registry); err != nil {
			return PullAnswer{}, err
		}
		var setting webrtc.SettingEngine
		setting.SetIncludeLoopbackCandidate(true)
		setting.SetInterfaceFilter(func(name string) bool { return name == "lo" })
		if err := setting.SetAnsweringDTLSRole(f.role); err != nil {
			return PullAnswer{}, err
		}
		pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(&engine), webrtc.WithInterceptorRegistry(registry),
			webrtc.WithSettingEngine(setting)).NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			return PullAnswer{}, err
		}
		f.t.Cleanup(func() { pc.GracefulClose() })
		var tracks []*webrtc.TrackLocalStaticRTP
		for i, mime := range []string{webrtc.MimeTypeOpus, f.video} {
			track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, []string{"a", "v"}[i], "s")
			if err != nil {
				return PullAnswer{}, err
			}
			sender, err := pc.AddTrack(track)
			if err != nil {
				return PullAnswer{}, err
			}
			go f.read(sender)
			tracks = append(tracks, track)
		}
		remote := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)}
		if err := pc.SetRemoteDescription(remote); err != nil {
			return PullAnswer{}, err
		}
		gathered := webrtc.GatheringCompletePromise(pc)
		answer, err := pc.CreateAnswer(nil)
		if err != nil {
			return PullAnswer{}, err
		}
		if err := pc.SetLocalDescription(answer); err != nil {
			return PullAnswer{}, err
		}
		<-gathered
		connected := make(chan struct{})
		connect := sync.OnceFunc(func() { close(connected) }) // it may do so again
		pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
			if s == webrtc.PeerConnectionStateConnected {
				connect()
			}
		})
		ctx, cancel := context.WithCancel(context.Background())
		stopped := make(chan struct{})
		f.t.Cleanup(func() { cancel(); <-stopped })
		go func() {
			defer close(stopped)
			select {
			case <-connected:
				f.send(ctx, tracks)
			case <-ctx.Done():
			}
		}()
		text := []byte(pc.LocalDescription().SDP)
		if edit != nil {
			text = edit(text)
		}
		return PullAnswer{SDP: text}, nil
	}
}

// read counts requests for key frames until the sender ends.
func (f *fullParent) read(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if _, request := p.(*rtcp.PictureLossIndication); request {
				f.requests.Add(1)
			}
		}
	}
}

// send sends a picture, after which there are key frames only every two seconds.
func (f *fullParent) send(ctx context.Context, tracks []*webrtc.TrackLocalStaticRTP) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		// What comes before the other side is ready is lost.
		_ = tracks[1].WriteRTP(rtpPacket(uint16(n), uint32(n)*1800, true, vp8(n%100 == 0, n)))
		_ = tracks[0].WriteRTP(rtpPacket(uint16(n), uint32(n)*960, false, make([]byte, 80)))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func TestPullFromFullICE(t *testing.T) {
	for name, test := range map[string]struct {
		role webrtc.DTLSRole
		edit func([]byte) []byte
	}{
		"active":             {webrtc.DTLSRoleClient, nil},
		"passive":            {webrtc.DTLSRoleServer, nil},
		"without candidates": {webrtc.DTLSRoleClient, answered(`a=candidate:.*\r\n`, "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edge := start(t, nil)
			origin := &fullParent{t: t, role: test.role, video: webrtc.MimeTypeVP8}
			p := edge.pull(t, origin.exchange(test.edit))
			b := p.Broadcast()
			if c := b.Video().Codec; c.Name != siaran.VP8 {
				t.Errorf("the picture is %s", c.Name)
			}
			if c := b.Audio().Codec; c.Name != siaran.Opus || c.Channels != 2 {
				t.Errorf("the sound is %+v", c)
			}
			follow(t, b.Video().Layers[0], 50)
			follow(t, b.Audio().Layers[0], 50)
			if s := b.State(); s.ID == "" || s.StartedAt.IsZero() || !s.Pulled {
				t.Errorf("%+v", s)
			}
			p.Close()
		})
	}
}

// TestParentSendsWhatItDidNotAnswer has an answer with another codec than what comes.
func TestParentSendsWhatItDidNotAnswer(t *testing.T) {
	t.Parallel()
	edge := start(t, nil)
	origin := &fullParent{t: t, role: webrtc.DTLSRoleClient, video: webrtc.MimeTypeVP8}
	onlyH264 := func(answer []byte) []byte {
		text := regexp.MustCompile(`(?s)m=audio \d+(.*)m=video (\d+) (\S+) [\d ]+`).
			ReplaceAll(answer, []byte("m=audio 0${1}m=video ${2} ${3} 96"))
		return []byte(strings.Replace(string(text), "BUNDLE 0 1", "BUNDLE 1", 1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	exchange := func(ctx context.Context, offer []byte) (PullAnswer, error) {
		time.AfterFunc(3*time.Second, cancel)
		return origin.exchange(onlyH264)(ctx, offer)
	}
	_, err := edge.Pull(ctx, PullConfig{Stream: "cats", Owner: "relay", Exchange: exchange})
	if !errors.Is(err, ErrParent) {
		t.Error(err)
	}
	t.Log(err)
}
