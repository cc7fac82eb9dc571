// Package whep is a viewer without a screen: a WHEP client (draft-ietf-wish-whep) on
// pion/webrtc that hands on the RTP packets that it receives, for tests and measurements.
package whep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"siaran/internal/pionlog"
	"siaran/internal/signalling"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"
)

// Config says what to watch and how.
type Config struct {
	URL    string // of the WHEP endpoint
	Token  string // may be empty
	Client *http.Client

	// Packet receives every RTP packet, those of one track from one goroutine. The packet is the receiver's.
	Packet func(kind webrtc.RTPCodecType, p *rtp.Packet)
	// Report receives every sender report; may be nil.
	Report func(kind webrtc.RTPCodecType, r *rtcp.SenderReport)
	// Under, when set, stands between the network and all else, so that it can lose packets.
	Under interceptor.Factory
	// ICEServers are asked for addresses; RelayOnly says to use no others than those that TURN servers give.
	ICEServers []webrtc.ICEServer
	RelayOnly  bool
	// Setting, when set, may change how the connection is made before it is.
	Setting func(*webrtc.SettingEngine)
	// Within bounds the time from the offer to the first encrypted packet. 0: 15 s.
	Within time.Duration
	// Opened, when set, is told of the connection before anything is asked of the server. After a Dial that
	// has failed it still says how far it had come.
	Opened func(*webrtc.PeerConnection)
}

// Session is one viewer.
type Session struct {
	cfg      Config
	pc       *webrtc.PeerConnection
	signal   *signalling.Client
	resource *url.URL
	up       chan struct{}
	upOnce   sync.Once
	lost     chan struct{}
	loseOnce sync.Once

	mu      sync.Mutex
	closed  bool
	readers sync.WaitGroup // none begins after closed is set
}

const connectTime = 15 * time.Second // in place of Config.Within

// Dial watches and returns when media can flow. On error nothing stays open.
// Errors include *signalling.Error.
func Dial(ctx context.Context, cfg Config) (*Session, error) {
	endpoint, err := url.Parse(cfg.URL)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the URL of a WHEP endpoint, which is like http://host:8080/whep/cats", cfg.URL)
	}
	s := &Session{
		cfg: cfg, signal: signalling.New(cfg.Client, cfg.Token),
		up: make(chan struct{}), lost: make(chan struct{}),
	}
	addr, err := netip.ParseAddr(endpoint.Hostname())
	if err := s.open(err == nil && addr.IsLoopback()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(cfg.Within, connectTime))
	defer cancel()
	if err := s.connect(ctx, endpoint); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *Session) open(loopback bool) error {
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return err
	}
	interceptors := &interceptor.Registry{}
	if s.cfg.Under != nil {
		interceptors.Add(s.cfg.Under)
	}
	if err := webrtc.RegisterDefaultInterceptors(media, interceptors); err != nil {
		return err
	}
	var setting webrtc.SettingEngine
	setting.LoggerFactory = pionlog.HangUps(s.lose)
	setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	setting.SetIncludeLoopbackCandidate(loopback)
	if s.cfg.Setting != nil {
		s.cfg.Setting(&setting)
	}
	configuration := webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle, ICEServers: s.cfg.ICEServers}
	if s.cfg.RelayOnly {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors),
		webrtc.WithSettingEngine(setting))
	pc, err := api.NewPeerConnection(configuration)
	if err != nil {
		return err
	}
	s.pc = pc
	if s.cfg.Opened != nil {
		s.cfg.Opened(pc)
	}
	pc.OnTrack(s.read)
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			s.upOnce.Do(func() { close(s.up) })
		case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			s.lose()
		}
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		receive := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := pc.AddTransceiverFromKind(kind, receive); err != nil {
			return errors.Join(err, pc.GracefulClose())
		}
	}
	return nil
}

func (s *Session) lose() { s.loseOnce.Do(func() { close(s.lost) }) }

func (s *Session) connect(ctx context.Context, endpoint *url.URL) error {
	var err error
	if s.resource, err = s.signal.Open(ctx, endpoint, s.pc); err != nil {
		return err
	}
	select {
	case <-s.up:
		return nil
	case <-s.lost:
		return errors.New("no connection")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Session) read(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.readers.Go(func() {
		for {
			packets, _, err := receiver.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				// A compound packet comes to all whom it concerns, in full.
				if report, ok := p.(*rtcp.SenderReport); ok && report.SSRC == uint32(track.SSRC()) && s.cfg.Report != nil {
					s.cfg.Report(track.Kind(), report)
				}
			}
		}
	})
	s.readers.Go(func() {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			if s.cfg.Packet != nil {
				s.cfg.Packet(track.Kind(), p)
			}
		}
	})
}

// PeerConnection is the connection, for tests that look at it.
func (s *Session) PeerConnection() *webrtc.PeerConnection { return s.pc }

// Resource is the URL of the session: a secret.
func (s *Session) Resource() string { return s.resource.String() }

// Lost is closed when the connection is gone.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Restart restarts ICE (RFC 9725 section 4.3.3), as after a change of networks. It returns when the server has
// answered.
func (s *Session) Restart(ctx context.Context) error { return s.signal.Restart(ctx, s.resource, s.pc) }

// Abandon goes without a word.
func (s *Session) Abandon() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.pc.GracefulClose()
	s.readers.Wait()
	return err
}

// Close ends the session at the server and then here.
func (s *Session) Close(ctx context.Context) error {
	var err error
	if s.resource != nil {
		err = s.signal.Delete(ctx, s.resource)
	}
	return errors.Join(err, s.Abandon())
}
