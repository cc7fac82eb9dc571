package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/egress"
	"siaran/internal/codec"
	"siaran/internal/testutil"
	"siaran/mediaport"
)

// parent is a server that has a broadcast and viewers, such as pulls.
type parent struct {
	t      testing.TB
	hub    *siaran.Hub
	egress *egress.Server
	port   *mediaport.Socket
	pub    *siaran.Publication
	layers []string // of the next publish; none: one without a name
	video  int64    // the next sequence number
	audio  int64
	frame  int64 // number of the next frame
}

const parentBroadcast = siaran.BroadcastID("far")

// startParent has a broadcast of VP8 and Opus that has not begun yet.
func startParent(t testing.TB) *parent {
	t.Helper()
	port, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &parent{t: t, hub: siaran.NewHub(time.Minute, codec.NewFramer), port: port, video: 65000, audio: 65400}
	if p.egress, err = egress.New(p.hub, port, egress.Config{Certificate: testutil.Certificate(t)}); err != nil {
		t.Fatal(err)
	}
	p.publish()
	var once sync.Once
	t.Cleanup(func() { once.Do(p.close) })
	return p
}

func (p *parent) close() {
	if err := p.egress.Close(); err != nil {
		p.t.Error(err)
	}
	p.hub.Close()
	if err := p.port.Close(); err != nil {
		p.t.Error(err)
	}
}

func (p *parent) publish() {
	p.t.Helper()
	var err error
	p.pub, err = p.hub.PublishFrom("cats", "owner", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}},
		{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: p.layers},
	}, siaran.Origin{ID: parentBroadcast})
	if err != nil {
		p.t.Fatal(err)
	}
}

const framePackets = 3

// write writes a frame, whose packets carry its number and their own, and the sound of as long a time.
func (p *parent) write(key bool) {
	now := time.Now()
	for i := range framePackets {
		payload := make([]byte, 1000)
		if i == 0 {
			copy(payload, vp8(key, 0))
		}
		binary.BigEndian.PutUint32(payload[20:], uint32(p.frame))
		payload[24] = byte(i)
		for _, w := range p.pub.Writers()[1:] {
			// The publication may be over.
			_ = w.Write(p.video, p.frame*3600, i == framePackets-1, payload, now)
		}
		p.video++
	}
	for range 2 {
		_ = p.pub.Writer(siaran.KindAudio, "").Write(p.audio, p.audio*960, false, make([]byte, 80), now)
		p.audio++
	}
	p.frame++
}

// play writes 25 frames a second, with a key frame for each gop.
func (p *parent) play(gop int64) (stop func()) {
	done := make(chan struct{})
	var playing sync.WaitGroup
	playing.Go(func() {
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for {
			p.write(p.frame%gop == 0)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	testutil.Eventually(p.t, "the broadcast to begin", func() bool {
		_, err := p.hub.Broadcast("cats")
		return err == nil
	})
	stop = sync.OnceFunc(func() { close(done); playing.Wait() })
	p.t.Cleanup(stop)
	return stop
}

// exchange answers offers as the parent's HTTP server would. edit, if not nil, changes what the edge sees.
func (p *parent) exchange(edit func([]byte) []byte) func(context.Context, []byte) (PullAnswer, error) {
	return func(ctx context.Context, offer []byte) (PullAnswer, error) {
		answer, err := p.egress.OfferToChild(ctx, "cats", "", offer)
		if err != nil {
			return PullAnswer{}, err
		}
		text := answer.SDP
		if edit != nil {
			text = edit(text)
		}
		b, err := p.hub.Broadcast("cats")
		if err != nil {
			return PullAnswer{}, err
		}
		return PullAnswer{SDP: text, Broadcast: b.ID(), StartedAt: b.State().StartedAt}, nil
	}
}

// pull pulls the parent's broadcast and fails the test when that fails.
func (s *testServer) pull(t testing.TB, exchange func(context.Context, []byte) (PullAnswer, error)) *Pulled {
	t.Helper()
	p, err := s.Pull(t.Context(), PullConfig{Stream: "cats", Owner: "relay", Exchange: exchange})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ended waits until a pull has ended, and looks why.
func ended(t testing.TB, p *Pulled, want error) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(testutil.Patience):
		t.Fatal("the pull does not end")
	}
	if !errors.Is(p.Err(), want) {
		t.Errorf("it ended with %v, want %v", p.Err(), want)
	}
}

// numberIn is the number of a frame that parent.write has put into its packets.
func numberIn(p *siaran.Packet) uint32 { return binary.BigEndian.Uint32(p.Payload[20:]) }

func TestPull(t *testing.T) {
	t.Parallel()
	edge, origin := start(t, nil), startParent(t)
	origin.play(25)
	p := edge.pull(t, origin.exchange(nil))
	p.Audience(3, 5)
	b, err := edge.hub.Broadcast("cats")
	if err != nil {
		t.Fatal(err)
	}
	if s := b.State(); s.ID != parentBroadcast || !s.Pulled || s.StartedAt.IsZero() || s.Owner != "relay" ||
		s.Status != siaran.StatusLive || b != p.Broadcast() {
		t.Errorf("%+v", s)
	}
	packets := follow(t, b.Video().Layers[0], 60*framePackets)
	for i, packet := range packets {
		frame, within := numberIn(packets[0])+uint32(i/framePackets), i%framePackets
		if n := numberIn(packet); n != frame || packet.Payload[24] != byte(within) ||
			packet.Marker != (within == framePackets-1) {
			t.Fatalf("packet %d is %d of frame %d", i, packet.Payload[24], n)
		}
	}
	if !packets[0].Keyframe {
		t.Error("it does not begin with a key frame")
	}
	follow(t, b.Audio().Layers[0], 50)
	testutil.Eventually(t, "the parent to know of the viewers here", func() bool {
		return origin.pub.Broadcast().State().Viewers == 3
	})
	if h, ok := edge.Health("cats"); !ok || !h.Connected {
		t.Errorf("%+v", h)
	}
	p.Close()
	ended(t, p, ErrPullClosed)
	if s := b.State(); s.Status != siaran.StatusInterrupted {
		t.Errorf("it is %s afterwards", s.Status)
	}
}
