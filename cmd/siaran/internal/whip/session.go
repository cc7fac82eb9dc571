package whip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v3"
)

const (
	connectWithin = 15 * time.Second // from the answer to the first encrypted packet
	lostAfter     = 5 * time.Second  // without any sign of the server
)

// networks has TCP too (RFC 6544), of which pion makes nothing by itself: it is the way of those whose network lets no UDP out.
var networks = []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6}

// Config says where to publish and what.
type Config struct {
	URL    string // of the WHIP endpoint
	Token  string // bearer token; may be empty
	Tracks []webrtc.RTPCodecCapability
	Client *http.Client // nil for the default one

	// ICEServers are asked for addresses; RelayOnly says to use no others than those that TURN servers give.
	ICEServers []webrtc.ICEServer
	RelayOnly  bool
	// Setting, when set, may change how the connection is made before it is.
	Setting func(*webrtc.SettingEngine)
	// Opened, when set, is told of the connection before anything is asked of the server. After a Dial that
	// has failed it still says how far it had come.
	Opened func(*webrtc.PeerConnection)
}

// Session is one connection to a server. Its methods may be called from any goroutine, Write for one track from one at a time.
type Session struct {
	pc       *webrtc.PeerConnection
	signal   *signaller
	resource *url.URL
	senders  []*sender
	readers  sync.WaitGroup

	lost     chan struct{} // closed when the connection is gone
	loseOnce sync.Once
	up       chan struct{} // closed when media can flow
	upOnce   sync.Once
}

// ErrLost says that a connection that was up is gone.
var ErrLost = errors.New("the connection to the server is lost")

// errNoWay says that the server answers and no media gets through to it.
var errNoWay = fmt.Errorf("the server answers over HTTP but no media gets through to it; is its media port (8189, UDP or TCP) open, and its --public-ip right? %w", ErrLost)

// Dial publishes and returns when media can flow. On error nothing stays open.
// Errors include *ServerError.
func Dial(ctx context.Context, cfg Config) (*Session, error) {
	endpoint, err := url.Parse(cfg.URL)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL of a WHIP endpoint, which is like http://host:8080/whip/cats", cfg.URL)
	}
	s := &Session{signal: newSignaller(cfg.Client, cfg.Token), lost: make(chan struct{}), up: make(chan struct{})}
	if err := s.open(cfg, loopback(endpoint.Hostname())); err != nil {
		return nil, err
	}
	if err := s.connect(ctx, endpoint); err != nil {
		// The session may exist at the server already; ctx may be over.
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// open makes the PeerConnection. It negotiates what will be sent and nothing else.
func (s *Session) open(cfg Config, local bool) error {
	media := &webrtc.MediaEngine{}
	for i, codec := range cfg.Tracks {
		params, kind, err := parameters(codec, i)
		if err != nil {
			return err
		}
		if err := media.RegisterCodec(params, kind); err != nil {
			return err
		}
	}
	interceptors := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, interceptors); err != nil { // sender reports, NACK
		return err
	}
	var setting webrtc.SettingEngine
	setting.SetNetworkTypes(networks)
	setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	setting.SetIncludeLoopbackCandidate(local)
	setting.SetICETimeouts(lostAfter, 2*lostAfter, time.Second)
	setting.SetIPFilter(func(ip net.IP) bool { return !ip.IsLinkLocalUnicast() })
	if cfg.Setting != nil {
		cfg.Setting(&setting)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(setting))
	configuration := webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle, ICEServers: cfg.ICEServers}
	if cfg.RelayOnly {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	pc, err := api.NewPeerConnection(configuration)
	if err != nil {
		return err
	}
	s.pc = pc
	if cfg.Opened != nil {
		cfg.Opened(pc)
	}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			s.upOnce.Do(func() { close(s.up) })
		case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			s.loseOnce.Do(func() { close(s.lost) })
		}
	})
	for _, codec := range cfg.Tracks {
		if err := s.addTrack(codec); err != nil {
			return errors.Join(err, pc.GracefulClose())
		}
	}
	return nil
}

func (s *Session) addTrack(codec webrtc.RTPCodecCapability) error {
	track, err := newSender(codec)
	if err != nil {
		return err
	}
	transceiver, err := s.pc.AddTransceiverFromTrack(track.local, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	s.senders = append(s.senders, track)
	s.readers.Go(func() { // NACKs are answered by the interceptors, which work while someone reads
		buf := make([]byte, 1500)
		for {
			if _, _, err := transceiver.Sender().Read(buf); err != nil {
				return
			}
		}
	})
	return nil
}

func (s *Session) connect(ctx context.Context, endpoint *url.URL) error {
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
	answer, resource, err := s.signal.post(ctx, endpoint, s.pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	s.resource = resource
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("the server's answer cannot be used: %w", err)
	}
	timer := time.NewTimer(connectWithin)
	defer timer.Stop()
	select {
	case <-s.up:
		return nil
	case <-s.lost:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return errNoWay
}

// Resource is the URL of the session: a secret.
func (s *Session) Resource() string { return s.resource.String() }

// Lost is closed when the connection is gone.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Abandon goes without a word, as a broadcaster does whose network or process has died.
func (s *Session) Abandon() error {
	err := s.pc.GracefulClose()
	s.readers.Wait()
	return err
}

// Close ends the session at the server and then here.
func (s *Session) Close(ctx context.Context) error {
	var err error
	if s.resource != nil {
		err = s.signal.remove(ctx, s.resource)
	}
	return errors.Join(err, s.Abandon())
}
