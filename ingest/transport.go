package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	pionsdp "github.com/pion/sdp/v3"
	"github.com/pion/transport/v2/packetio"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/sdp"
)

const (
	negotiationTime = 2 * time.Second // a broadcaster waits at most 8 s for its answer
	// A broadcaster may resend a packet that is this far behind the newest (OBS does so on the same SSRC). pion's default
	// window of 64 would drop it as a replay.
	replayWindow = 4096
)

// transport is ICE, DTLS and SRTP of one session, by pion/webrtc's PeerConnection. What it decrypts goes to the sinks
// that it was opened with, never through pion's tracks.
type transport struct {
	pc      *webrtc.PeerConnection
	mux     *muxSession // a broadcaster's share of the media port; nil for a pull
	sockets *sockets    // of a pull; else nil
	nudge   string      // see hurry
	closing atomic.Bool
	path    atomic.Pointer[time.Time] // when ICE first had one; nil: not yet
	ready   atomic.Pointer[time.Time] // when media could first flow; nil: not yet
}

// sinks are called from pion's goroutines: those for RTP one at a time, and those for RTCP one at a time. They must not
// block or keep the bytes.
type sinks struct {
	rtp     func(packet []byte)
	rtcp    func(packet []byte)
	state   func() // the state has changed
	hangUp  func() // close_notify has come
	flooded func() // RTCP for more SSRCs than any broadcaster has
	spent   func() // the DTLS handshake takes more than any handshake needs
}

// openTransport opens the transport for an offer. When it returns, the broadcaster's checks are answered.
func openTransport(
	ctx context.Context, offer *sdp.Offer, server *Server, l local, to sinks, log *slog.Logger,
) (_ *transport, err error) {
	share, err := server.mux.session(l, offer, to.spent)
	if err != nil {
		return nil, siaran.ErrClosed
	}
	t := &transport{mux: share}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: it broke the negotiation", siaran.ErrMalformedOffer)
			log.Warn("negotiation of the transport panicked", "panic", fmt.Sprint(r))
		}
		if err != nil {
			t.close()
		}
	}()
	e := t.settings(l, to, log)
	answering(&e, l, share, server.cfg.consent)
	if err := t.connect(e, l, share.connects, to.state); err != nil {
		return nil, err
	}
	gathered := webrtc.GatheringCompletePromise(t.pc)
	if err := t.negotiate(offer, l.reach); err != nil {
		return nil, err
	}
	return t, gather(ctx, gathered)
}

// connect opens the PeerConnection. up is called when it is connected, changed when its state has changed.
func (t *transport) connect(e webrtc.SettingEngine, l local, up, changed func()) (err error) {
	api := webrtc.NewAPI(
		webrtc.WithMediaEngine(fixedCodecs()),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
		webrtc.WithSettingEngine(e),
	)
	t.pc, err = api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{l.certificate}})
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	t.pc.OnICEConnectionStateChange(func(now webrtc.ICEConnectionState) {
		if now == webrtc.ICEConnectionStateConnected || now == webrtc.ICEConnectionStateCompleted {
			at := time.Now()
			t.path.CompareAndSwap(nil, &at)
		}
	})
	t.pc.OnConnectionStateChange(func(now webrtc.PeerConnectionState) {
		if now == webrtc.PeerConnectionStateConnected {
			at := time.Now()
			t.ready.CompareAndSwap(nil, &at)
			up()
		}
		changed()
	})
	return nil
}

// gather waits until pion has its candidates.
func gather(ctx context.Context, gathered <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, negotiationTime)
	defer cancel()
	select {
	case <-gathered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ingest: gathering candidates: %w", ctx.Err())
	}
}

func (t *transport) negotiate(offer *sdp.Offer, from reach) error {
	text, err := fixedOffer(offer, from)
	if err != nil {
		return err
	}
	if err := t.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: text}); err != nil {
		return fmt.Errorf("%w: %w", siaran.ErrUnacceptable, err)
	}
	answer, err := t.pc.CreateAnswer(nil)
	if err != nil {
		return fmt.Errorf("%w: %w", siaran.ErrUnacceptable, err)
	}
	if err := t.pc.SetLocalDescription(answer); err != nil {
		return fmt.Errorf("%w: %w", siaran.ErrUnacceptable, err)
	}
	return nil
}

// settings are those of both kinds of session.
func (t *transport) settings(l local, to sinks, log *slog.Logger) webrtc.SettingEngine {
	var e webrtc.SettingEngine
	e.LoggerFactory = &pionLogs{log: log, hangUp: to.hangUp}
	e.BufferFactory = bufferFactory(to, &t.closing)
	e.SetICECredentials(l.ufrag, l.password)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	e.DisableActiveTCP(true)
	e.SetReceiveMTU(1500)
	e.SetSRTPReplayProtectionWindow(replayWindow)
	// GCM is cheaper, but some builds of OBS and FFmpeg have AES-CM only.
	e.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	e.SetDTLSInsecureSkipHelloVerify(true) // the handshake runs on a path that ICE has proven
	e.SetDTLSRetransmissionInterval(250 * time.Millisecond)
	return e
}

// answering are the settings of a broadcaster's session.
func answering(e *webrtc.SettingEngine, l local, share *muxSession, consent time.Duration) {
	e.SetICEUDPMux(share)
	e.SetICEBindingRequestHandler(share.moves)
	if len(l.tcp) > 0 {
		takeTCP(e, share)
	}
	e.SetICETimeouts(consent/6, consent-consent/6, min(2*time.Second, consent/6)) // RFC 7675 section 5.1
	role := webrtc.DTLSRoleClient
	if l.setup == "passive" {
		role = webrtc.DTLSRoleServer
	}
	if err := e.SetAnsweringDTLSRole(role); err != nil {
		panic(err) // only for a role that is neither client nor server
	}
}

// fixedCodecs are the codecs of the fixed description, whatever is broadcast.
func fixedCodecs() *webrtc.MediaEngine {
	var e webrtc.MediaEngine
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	if err := errors.Join(
		e.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 111}, webrtc.RTPCodecTypeAudio),
		e.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96}, webrtc.RTPCodecTypeVideo),
	); err != nil {
		panic(err)
	}
	return &e
}

// fixedOffer is the description that pion gets instead of the offer, or instead of a parent's answer: the other side's
// transport and two sections without meaning. There are two, and no mid extension, because then pion gives up on every
// SSRC at once instead of reading its first packets to find out what it is.
func fixedOffer(offer *sdp.Offer, from reach) (string, error) {
	print, err := fingerprint(offer.Fingerprints)
	if err != nil {
		return "", err
	}
	d := &pionsdp.SessionDescription{
		Origin: pionsdp.Origin{
			Username: "-", SessionID: 1, SessionVersion: 1,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1",
		},
		SessionName:      "-",
		TimeDescriptions: []pionsdp.TimeDescription{{}},
	}
	d.WithValueAttribute("group", "BUNDLE 0 1")
	if _, lite := offer.Description.Attribute("ice-lite"); lite {
		d.WithPropertyAttribute("ice-lite")
	}
	for i, rtpmap := range []string{"111 opus/48000/2", "96 VP8/90000"} {
		m := pionsdp.NewJSEPMediaDescription([]string{"audio", "video"}[i], nil)
		m.MediaName.Formats = []string{[]string{"111", "96"}[i]}
		m.WithValueAttribute("mid", []string{"0", "1"}[i])
		m.WithValueAttribute("setup", offer.Setup)
		m.WithICECredentials(offer.Ufrag, offer.Password)
		m.WithFingerprint(print.Algorithm, print.Value)
		m.WithValueAttribute("rtpmap", rtpmap)
		m.WithPropertyAttribute("rtcp-mux")
		m.WithPropertyAttribute("sendonly")
		if i == 0 {
			for _, c := range usableCandidates(offer.Candidates, maxCandidates, from) {
				m.WithValueAttribute("candidate", c)
			}
		}
		d.WithMedia(m)
	}
	text, err := d.Marshal()
	return string(text), err
}

// fingerprint is the strongest fingerprint of the offer, since pion takes only one.
func fingerprint(list []sdp.Fingerprint) (sdp.Fingerprint, error) {
	for _, algorithm := range []string{"sha-512", "sha-384", "sha-256"} {
		for _, f := range list {
			if f.Algorithm == algorithm {
				return f, nil
			}
		}
	}
	return sdp.Fingerprint{}, fmt.Errorf("%w: no a=fingerprint of SHA-256 or better", siaran.ErrUnacceptable)
}

// add gives the agent more of the broadcaster's candidates, which must be usable.
func (t *transport) add(candidates []string) {
	for _, c := range candidates {
		// A candidate that pion rejects is dropped, like any other that is not usable.
		_ = t.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: "candidate:" + c})
	}
}

func (t *transport) state() webrtc.PeerConnectionState { return t.pc.ConnectionState() }

// met is when ICE first had a path; zero: it has none yet.
func (t *transport) met() time.Time { return orZero(t.path.Load()) }

func orZero(at *time.Time) time.Time {
	if at != nil {
		return *at
	}
	return time.Time{}
}

// rtt is the round-trip time of the newest connectivity check, 0 if unknown.
func (t *transport) rtt() time.Duration {
	stats, _ := t.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	return time.Duration(stats.CurrentRoundTripTime * float64(time.Second))
}

// send sends RTCP to the broadcaster. It is lost before the transport is up and after it has closed.
func (t *transport) send(datagrams [][]rtcp.Packet) {
	for _, packets := range datagrams {
		_ = t.pc.WriteRTCP(packets)
	}
}

// close sends close_notify and waits until nothing of the transport is left.
func (t *transport) close() {
	t.closing.Store(true)
	if t.pc != nil {
		t.settle()
		_ = t.pc.GracefulClose()
	}
	t.leave()
}

// leave takes the transport off the network.
func (t *transport) leave() {
	if t.mux != nil {
		t.mux.mux.leave(t.mux)
	} else {
		t.sockets.shut.Store(true)
	}
}

// network is the transport by which the newest packet of media came.
func (t *transport) network() string {
	if t.mux != nil {
		return t.mux.network()
	}
	return pathNames[pathUDP]
}

// settle takes a transport that has no path yet off the network, and waits while pion is assembling it: a close at that
// moment would race with it, and pion might dereference a nil mux.
func (t *transport) settle() {
	dtls := t.pc.SCTP().Transport()
	if dtls.State() != webrtc.DTLSTransportStateNew {
		return
	}
	t.leave()
	t.pc.LocalDescription() // asks the agent, which first finishes what it was doing
	ice := dtls.ICETransport()
	if ice.State() == webrtc.ICETransportStateNew { // pion may be about to begin, and there is no path yet
		return
	}
	if pair, err := ice.GetSelectedCandidatePair(); err != nil || pair == nil {
		return
	}
	for range 1000 {
		if dtls.State() != webrtc.DTLSTransportStateNew {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// announced is the list without duplicates and without addresses that nobody can send to.
func announced(list []netip.AddrPort) []netip.AddrPort {
	var out []netip.AddrPort
	seen := make(map[netip.AddrPort]bool)
	for _, a := range list {
		a = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
		if a.IsValid() && !a.Addr().IsUnspecified() && a.Port() != 0 && !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}

// packetBuffers makes the buffer of an SSRC.
type packetBuffers = func(kind packetio.BufferPacketType, ssrc uint32) io.ReadWriteCloser

// bufferFactory makes the buffers in which pion keeps what it decrypts. Ours keep nothing.
func bufferFactory(to sinks, closing *atomic.Bool) packetBuffers {
	reports := 0 // only RTCP's factory calls count it, which pion makes under one lock
	return func(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
		if kind == packetio.RTPBufferPacket {
			if closing.Load() {
				// A session that pion begins after it was told to close is closed by nobody. Its reader, which is what runs here,
				// would wait for ever for somebody to take the new source.
				runtime.Goexit()
			}
			return &sink{take: to.rtp, closed: make(chan struct{})}
		}
		if reports++; reports == maxNamedSSRCs {
			to.flooded()
		}
		return &sink{take: to.rtcp, closed: make(chan struct{})}
	}
}
