package bench

import (
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
)

const (
	sampleOf       = 64 // viewers that do not read everything decrypt one packet in so many
	maxEarly       = 512
	reportEvery    = time.Second
	consentEvery   = 4 * time.Second
	consentTimeout = 20 * time.Second
	maxSources     = 16 // SSRCs of a viewer
	maxDatagram    = 2048
)

// socket is a viewer's own UDP socket. Its methods are called with the viewer locked.
type socket interface {
	localPort() uint16
	sendTo(b []byte, to netip.AddrPort)
	connect(to netip.AddrPort) error // then only this address is heard, and send may be used
	send(b []byte)
	sample(relayed bool) // makes the kernel drop RTP except for a sample, if it can
	dropped() uint64     // datagrams that the kernel has dropped
	close()
}

// pump opens sockets and delivers what arrives to their viewers.
type pump interface {
	open(v *viewer, ip6 bool) (socket, error)
	// coalesce says that waking up rarely matters more than waking up at once, until it is called with 0. A viewer that
	// reads everything is sent at most burst bytes between two wake-ups.
	coalesce(burst int)
	close() // after all sockets
}

// viewer is one session, made as cheap as possible: see the package's comment.
type viewer struct {
	audience *audience // what all viewers share
	reads    bool      // everything, for exact loss
	own      credentials
	posted   time.Duration
	gate     gate
	// What the join sets, before media comes. The resource is a secret.
	resource  *url.URL
	redirects int
	place     *place

	mu       sync.Mutex // guards all fields below; held while datagrams are read
	socket   socket
	closed   bool
	relay    *relayClient // nil: the viewer uses none
	agent    *agent
	answer   *answer
	selected chan struct{} // closed when ICE is done
	pipe     *pipe
	early    [][]byte // media that arrived before the keys
	in, out  *srtp.Context
	header   rtp.Header
	plain    []byte
	ssrc     uint32 // of our reports
	sources  map[uint32]*source
	whole    firstKeyframe
	started  time.Duration // from the request to the complete first key frame, 0 until then
	key      chan struct{} // closed then
	sampled  bool
	media    uint64 // RTP datagrams read
	stamps   *tally // of a reader, while it is measured
	noRoom   uint64 // what a reader's socket had dropped when the measurement began
	ended    string // why the session is over, if it is
	report   time.Duration
	consent  time.Duration
}

// source is one SSRC that the server sends.
type source struct {
	codec    string
	sequence unwrapper
	tally    *tally // of a reader, while it is measured
	lastSR   uint32 // middle 32 bits of the NTP time of the last sender report
	srAt     time.Duration
}

func newViewer(c *audience, reads bool, own credentials, ssrc uint32) *viewer {
	v := &viewer{
		audience: c, reads: reads, own: own, ssrc: ssrc,
		selected: make(chan struct{}), key: make(chan struct{}),
		sources: make(map[uint32]*source), plain: make([]byte, maxDatagram),
	}
	v.pipe = newPipe(func(b []byte) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !v.closed {
			v.send(b)
		}
	})
	return v
}

// sendTo sends to an address of the server. The caller holds v.mu, as for send and fix.
func (v *viewer) sendTo(b []byte, to netip.AddrPort) {
	if v.relay != nil {
		v.relay.sendTo(b, to)
		return
	}
	v.socket.sendTo(b, to)
}

// fix makes an address the one that send uses, and the only one that is heard.
func (v *viewer) fix(to netip.AddrPort) error {
	if v.relay != nil {
		return v.relay.fix(to)
	}
	return v.socket.connect(to)
}

func (v *viewer) send(b []byte) {
	if v.relay != nil {
		v.relay.send(b)
		return
	}
	v.socket.send(b)
}

// arrive takes a datagram as it is on the wire. The caller holds v.mu; b is valid only during the call.
func (v *viewer) arrive(b []byte, from netip.AddrPort) {
	if v.relay != nil {
		var ok bool
		if b, from, ok = v.relay.take(b); !ok {
			return
		}
	}
	v.receive(b, from)
}

// open opens the viewer's socket and returns its port.
func (v *viewer) open(p pump, ip6 bool) (port uint16, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.socket, err = p.open(v, ip6); err != nil {
		v.socket = nil
		return 0, err
	}
	return v.socket.localPort(), nil
}

// begin takes the server's answer and starts ICE.
func (v *viewer) begin(a *answer, tie uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = a
	v.agent = newAgent(v.own, a.remote, a.candidates, tie)
}

// check sends a connectivity check. Round counts from 0.
func (v *viewer) check(round int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.agent.selected.IsValid() {
		return
	}
	if b, to := v.agent.next(round); b != nil {
		v.sendTo(b, to)
	}
}

// secure sets the keys and processes the media that arrived before them.
func (v *viewer) secure(k *keys) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.in, v.out = k.in, k.out
	now := v.audience.stamper.now()
	v.report, v.consent = now+reportEvery, now+consentEvery
	for _, b := range v.early {
		v.protected(b, now)
	}
	v.early = nil
}

// receive dispatches one datagram (RFC 7983). The caller holds v.mu; b is valid only during the call.
func (v *viewer) receive(b []byte, from netip.AddrPort) {
	if len(b) == 0 || v.closed || v.agent == nil {
		return
	}
	now := v.audience.stamper.now()
	switch {
	case b[0] <= 3:
		v.stun(b, from, now)
	case b[0] >= 20 && b[0] <= 63:
		if v.out != nil && b[0] == 21 { // an alert after the handshake: the server ends the session
			v.end("the server has ended the session")
		}
		v.pipe.push(b)
	case b[0] >= 128 && b[0] <= 191:
		if v.in != nil {
			v.protected(b, now)
		} else if len(v.early) < maxEarly {
			v.early = append(v.early, append([]byte(nil), b...))
		}
	}
}

func (v *viewer) stun(b []byte, from netip.AddrPort, now time.Duration) {
	reply, selected := v.agent.handle(b, from, now)
	if reply != nil {
		v.sendTo(reply, from)
	}
	if !selected {
		return
	}
	if err := v.fix(from); err != nil {
		v.end("connect the socket: " + err.Error())
		return
	}
	close(v.selected)
}

func (v *viewer) end(why string) {
	if v.ended == "" {
		v.ended = why
	}
}

// tick runs the viewer's timers.
func (v *viewer) tick(now time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.out == nil {
		return
	}
	if now >= v.consent {
		v.consent = now + consentEvery
		if b := v.agent.check(v.agent.selected, true); b != nil {
			v.send(b)
		}
		if now-v.agent.heard > consentTimeout {
			v.end("the server no longer answers")
		}
	}
	if v.relay != nil {
		v.relay.tick(now)
	}
	if now >= v.report {
		v.report = now + reportEvery
		v.sendReport(now)
	}
}

// sendReport sends a receiver report (RFC 3550 section 6.4.2). It always says that nothing is lost: a viewer whose
// media the kernel drops cannot know, and the server must treat all viewers alike.
func (v *viewer) sendReport(now time.Duration) {
	r := rtcp.ReceiverReport{SSRC: v.ssrc}
	for ssrc, s := range v.sources {
		block := rtcp.ReceptionReport{
			SSRC: ssrc, LastSequenceNumber: uint32(s.sequence.last), LastSenderReport: s.lastSR,
		}
		if s.lastSR != 0 {
			block.Delay = uint32((now - s.srAt).Seconds() * 65536)
		}
		r.Reports = append(r.Reports, block)
	}
	plain, err := r.Marshal()
	if err != nil {
		return
	}
	if b, err := v.out.EncryptRTCP(nil, plain, nil); err == nil {
		v.send(b)
	}
}

// received returns how many media datagrams have arrived at this machine for the viewer, including dropped ones.
func (v *viewer) received() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.socket == nil || v.closed {
		return v.media
	}
	return v.media + v.socket.dropped()
}

// close closes the socket.
func (v *viewer) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.socket != nil && !v.closed {
		if v.relay != nil {
			v.relay.leave()
		}
		v.media += v.socket.dropped()
		v.socket.close()
	}
	v.closed = true
}
