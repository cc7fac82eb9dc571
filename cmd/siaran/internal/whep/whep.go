// Package whep is a viewer without a screen: a WHEP client (draft-ietf-wish-whep) on
// pion/webrtc that hands on the RTP packets that it receives, for tests and measurements.
package whep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

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
	// Opened, when set, is told of the connection before anything is asked of the server. After a Dial that
	// has failed it still says how far it had come.
	Opened func(*webrtc.PeerConnection)
}

// StatusError is a refusal.
type StatusError struct {
	Code   int // HTTP status
	Header http.Header
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("the server says %d: %s", e.Code, e.Body) }

// Session is one viewer.
type Session struct {
	cfg      Config
	pc       *webrtc.PeerConnection
	resource *url.URL
	up       chan struct{}
	upOnce   sync.Once
	lost     chan struct{}
	loseOnce sync.Once

	mu      sync.Mutex
	closed  bool
	readers sync.WaitGroup // none begins after closed is set
}

const patience = 15 * time.Second

// Dial watches and returns when media can flow. On error nothing stays open.
// Errors include *StatusError.
func Dial(ctx context.Context, cfg Config) (*Session, error) {
	s := &Session{cfg: cfg, up: make(chan struct{}), lost: make(chan struct{})}
	if err := s.open(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *Session) open() error {
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
	setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	if u, err := url.Parse(s.cfg.URL); err == nil {
		addr, err := netip.ParseAddr(u.Hostname())
		setting.SetIncludeLoopbackCandidate(err == nil && addr.IsLoopback())
	}
	if s.cfg.Setting != nil {
		s.cfg.Setting(&setting)
	}
	configuration := webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle, ICEServers: s.cfg.ICEServers}
	if s.cfg.RelayOnly {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(setting)).
		NewPeerConnection(configuration)
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
			s.loseOnce.Do(func() { close(s.lost) })
		}
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return errors.Join(err, pc.GracefulClose())
		}
	}
	return nil
}

func (s *Session) connect(ctx context.Context) error {
	offer, err := s.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return ctx.Err()
	}
	res, body, err := s.do(ctx, http.MethodPost, s.cfg.URL, s.pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusCreated {
		return &StatusError{Code: res.StatusCode, Header: res.Header, Body: body}
	}
	if s.resource, err = res.Location(); err != nil {
		return err
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body}); err != nil {
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

func (s *Session) do(ctx context.Context, method, to, body string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/sdp")
	}
	if s.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.cfg.Token)
	}
	client := s.cfg.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close() // was read as far as it matters
	text, err := io.ReadAll(io.LimitReader(res.Body, 256<<10))
	return res, string(text), err
}

// PeerConnection is the connection, for tests that look at it.
func (s *Session) PeerConnection() *webrtc.PeerConnection { return s.pc }

// Resource is the URL of the session: a secret.
func (s *Session) Resource() string { return s.resource.String() }

// Lost is closed when the connection is gone.
func (s *Session) Lost() <-chan struct{} { return s.lost }

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
		var res *http.Response
		if res, _, err = s.do(ctx, http.MethodDelete, s.resource.String(), ""); err == nil && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNotFound {
			err = &StatusError{Code: res.StatusCode, Header: res.Header}
		}
	}
	return errors.Join(err, s.Abandon())
}
