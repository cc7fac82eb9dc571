package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"siaran/internal/pionlog"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"
)

const (
	publishWithin = 15 * time.Second // from the request to a connection
	minKeyGap     = 500 * time.Millisecond
	farewell      = 5 * time.Second // for a DELETE
)

// publisher broadcasts the synthetic stream.
type publisher struct {
	cfg      Config
	stamper  *stamper
	whip     endpoint
	pc       *webrtc.PeerConnection
	video    *webrtc.TrackLocalStaticRTP
	audio    *webrtc.TrackLocalStaticRTP
	resource *url.URL
	up, lost chan struct{} // closed when media can flow, and when it no longer can
	upOnce   sync.Once
	loseOnce sync.Once
	running  sync.WaitGroup
	cancel   context.CancelFunc

	wanted atomic.Bool // the server has asked for a key frame
	plis   atomic.Uint64
	nacks  atomic.Uint64 // packets that the server missed and asked for again

	mu     sync.Mutex // held while a frame is sent
	paused bool
	sent   published
}

// published counts packets.
type published struct{ video, audio, keyframes int64 }

// publish connects and begins to send. On error nothing stays open.
func publish(ctx context.Context, cfg Config, st *stamper, whip endpoint) (*publisher, error) {
	p := &publisher{cfg: cfg, stamper: st, whip: whip, up: make(chan struct{}), lost: make(chan struct{})}
	if err := p.open(); err != nil {
		return nil, err
	}
	if err := p.connect(ctx); err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until close
	p.cancel = cancel
	p.running.Go(func() { p.send(sending) })
	return p, nil
}

func (p *publisher) open() (err error) {
	media := &webrtc.MediaEngine{}
	h264 := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		RTCPFeedback: []webrtc.RTCPFeedback{
			{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"},
		},
	}
	opus := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1",
	}
	video := webrtc.RTPCodecParameters{RTPCodecCapability: h264, PayloadType: 96}
	if err := media.RegisterCodec(video, webrtc.RTPCodecTypeVideo); err != nil {
		return err
	}
	audio := webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: opusType}
	if err := media.RegisterCodec(audio, webrtc.RTPCodecTypeAudio); err != nil {
		return err
	}
	interceptors := &interceptor.Registry{}
	err = errors.Join(webrtc.ConfigureNack(media, interceptors), webrtc.ConfigureRTCPReports(interceptors))
	if err != nil {
		return err
	}
	var setting webrtc.SettingEngine
	setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	setting.SetIncludeLoopbackCandidate(onLoopback(p.cfg.WHIP))
	setting.LoggerFactory = pionlog.Silent
	api := webrtc.NewAPI(
		webrtc.WithMediaEngine(media),
		webrtc.WithInterceptorRegistry(interceptors),
		webrtc.WithSettingEngine(setting),
	)
	p.pc, err = api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return err
	}
	p.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			p.upOnce.Do(func() { close(p.up) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			p.loseOnce.Do(func() { close(p.lost) })
		}
	})
	if p.audio, err = p.addTrack(opus, "audio"); err == nil {
		p.video, err = p.addTrack(h264, "video")
	}
	if err != nil {
		return errors.Join(err, p.close(context.Background()))
	}
	return nil
}

func (p *publisher) addTrack(codec webrtc.RTPCodecCapability, kind string) (*webrtc.TrackLocalStaticRTP, error) {
	track, err := webrtc.NewTrackLocalStaticRTP(codec, kind, "bench")
	if err != nil {
		return nil, err
	}
	sendOnly := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	t, err := p.pc.AddTransceiverFromTrack(track, sendOnly)
	if err != nil {
		return nil, err
	}
	p.running.Go(func() {
		for {
			packets, _, err := t.Sender().ReadRTCP()
			if err != nil {
				return
			}
			for _, r := range packets {
				switch r := r.(type) {
				case *rtcp.TransportLayerNack:
					for _, pair := range r.Nacks {
						p.nacks.Add(uint64(len(pair.PacketList())))
					}
				case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
					p.plis.Add(1)
					p.wanted.Store(true)
				}
			}
		}
	})
	return track, nil
}

func (p *publisher) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return ctx.Err()
	}
	session, err := p.whip.Post(ctx, p.whip.url, p.pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	p.resource = session.URL
	answer := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: session.Answer}
	if err := p.pc.SetRemoteDescription(answer); err != nil {
		return fmt.Errorf("the server's answer cannot be used: %w", err)
	}
	select {
	case <-p.up:
		return nil
	case <-p.lost:
	case <-ctx.Done():
	}
	return errors.New("the server answers over HTTP but no media gets through to it")
}

// onLost calls f once when the connection is gone, or at the latest when it is closed.
func (p *publisher) onLost(f func()) {
	p.running.Go(func() {
		<-p.lost
		f()
	})
}

// close ends the session at the server and locally.
func (p *publisher) close(ctx context.Context) error {
	if p.cancel != nil {
		p.cancel()
	}
	var err error
	if p.resource != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		err = p.whip.Delete(ctx, p.resource)
	}
	err = errors.Join(err, p.pc.GracefulClose())
	p.loseOnce.Do(func() { close(p.lost) })
	p.running.Wait()
	return err
}

// pause stops the stream between two frames and returns what has been sent so far.
func (p *publisher) pause() published {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = true
	return p.sent
}

func (p *publisher) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
}
