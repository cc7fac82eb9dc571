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

	"siaran/internal/pionlog"
	"siaran/internal/signalling"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v2/stdnet"
	"github.com/pion/webrtc/v3"
)

const (
	connectWithin = 15 * time.Second // from the answer to the first encrypted packet
	lostAfter     = 5 * time.Second  // without any sign of the server
)

// networks includes TCP (RFC 6544), which pion does not use by default: it is the only way for clients whose network
// blocks outgoing UDP.
var networks = []webrtc.NetworkType{
	webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6,
	webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6,
}

// Config says where to publish and what.
type Config struct {
	URL    string // of the WHIP endpoint
	Token  string // bearer token; may be empty
	Tracks []webrtc.RTPCodecCapability
	Client *http.Client // nil for the default one

	// ICEServers are asked for addresses. RelayOnly says to use only the addresses that TURN servers give.
	ICEServers []webrtc.ICEServer
	RelayOnly  bool
	// Setting, when set, may change the settings of the connection before it is made.
	Setting func(*webrtc.SettingEngine)
	// Opened, when set, is called with the connection before the first request to the server. After a Dial that has
	// failed, the connection still shows how far it got.
	Opened func(*webrtc.PeerConnection)
	// Payload is the largest number of bytes of a frame in a packet. 0 stands for a size that a path with an MTU of
	// 1,280 carries without fragmentation.
	Payload int
}

// Session is one connection to a server. Its methods may be called from any goroutine, but Write for one track only
// from one at a time.
type Session struct {
	pc       *webrtc.PeerConnection
	signal   *signalling.Client
	resource *url.URL
	senders  []*sender
	readers  sync.WaitGroup

	lost     chan struct{} // closed when the connection is gone
	loseOnce sync.Once
	up       chan struct{} // closed when media can flow
	upOnce   sync.Once

	repairs repairs
}

// ErrLost says that an established connection is gone.
var ErrLost = errors.New("the connection to the server is lost")

// errNoWay says that the server answers but no media gets through to it.
var errNoWay = fmt.Errorf("the server answers over HTTP but no media gets through to it; "+
	"is its media port (8189, UDP or TCP) open, and its --public-ip right? %w", ErrLost)

// Dial publishes and returns when media can flow. On error nothing stays open. Errors include *signalling.Error.
func Dial(ctx context.Context, cfg Config) (*Session, error) {
	endpoint, err := url.Parse(cfg.URL)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the URL of a WHIP endpoint, which looks like http://host:8080/whip/cats", cfg.URL)
	}
	s := &Session{
		signal: signalling.New(cfg.Client, cfg.Token), lost: make(chan struct{}), up: make(chan struct{}),
		repairs: newRepairs(),
	}
	if err := s.open(cfg, loopback(endpoint.Hostname())); err != nil {
		return nil, err
	}
	if err := s.connect(ctx, endpoint); err != nil {
		// The session may already exist at the server, and ctx may have ended.
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// open makes the PeerConnection. It negotiates only what will be sent.
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
	system, err := stdnet.NewNet()
	if err != nil {
		return fmt.Errorf("the system's network interfaces: %w", err)
	}
	var setting webrtc.SettingEngine
	setting.LoggerFactory = pionlog.HangUps(s.lose)
	setting.SetNet(currentNet{system})
	setting.SetNetworkTypes(networks)
	setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	setting.SetIncludeLoopbackCandidate(local)
	setting.SetICETimeouts(lostAfter, 2*lostAfter, time.Second)
	setting.SetIPFilter(func(ip net.IP) bool { return !ip.IsLinkLocalUnicast() })
	if cfg.Setting != nil {
		cfg.Setting(&setting)
	}
	api := webrtc.NewAPI(
		webrtc.WithMediaEngine(media),
		webrtc.WithInterceptorRegistry(interceptors),
		webrtc.WithSettingEngine(setting),
	)
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
			s.repaired()
		case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed:
			if !s.repair() {
				s.lose()
			}
		case webrtc.PeerConnectionStateClosed:
			s.lose()
		}
	})
	for _, codec := range cfg.Tracks {
		if err := s.addTrack(codec, cfg.Payload); err != nil {
			return errors.Join(err, pc.GracefulClose())
		}
	}
	return nil
}

func (s *Session) addTrack(codec webrtc.RTPCodecCapability, payload int) error {
	track, err := newSender(codec, payload)
	if err != nil {
		return err
	}
	sendOnly := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	transceiver, err := s.pc.AddTransceiverFromTrack(track.local, sendOnly)
	if err != nil {
		return err
	}
	s.senders = append(s.senders, track)
	s.readers.Go(func() { // the interceptors answer NACKs, but only while something reads
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
	var err error
	if s.resource, err = s.signal.Open(ctx, endpoint, s.pc); err != nil {
		return advise(err, endpoint)
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

// Resource returns the URL of the session, which is a secret.
func (s *Session) Resource() string { return s.resource.String() }

// Lost is closed when the connection is gone, and ICE restarts have not brought it back.
func (s *Session) Lost() <-chan struct{} { return s.lost }

func (s *Session) lose() { s.loseOnce.Do(func() { close(s.lost) }) }

// Restart restarts ICE (RFC 9725 section 4.3.3), as after a change of networks. It returns when the server has
// answered.
func (s *Session) Restart(ctx context.Context) error { return s.signal.Restart(ctx, s.resource, s.pc) }

// Abandon closes the connection without telling the server, like a broadcaster whose network or process has died.
func (s *Session) Abandon() error {
	s.repairs.end()
	err := s.pc.GracefulClose()
	s.readers.Wait()
	return err
}

// Close ends the session at the server and then locally.
func (s *Session) Close(ctx context.Context) error {
	var err error
	if s.resource != nil {
		err = s.signal.Delete(ctx, s.resource)
	}
	return errors.Join(err, s.Abandon())
}
