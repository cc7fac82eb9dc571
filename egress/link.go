package egress

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"siaran/internal/sdp"
	"siaran/mediaport"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
)

// linkEvents is what a link tells its owner. Its methods may be called from any goroutine and must not wait.
type linkEvents interface {
	// firstCheck is called once, with the first right check.
	firstCheck()
	// report takes a genuine RTCP datagram, decrypted, which is the callee's.
	report(plain []byte)
	// ended says that the viewer has said goodbye or must not be served any longer. It may be called more than once.
	ended(why error)
	// goTracked runs f, which may wait, in a goroutine that the server waits for. False: it is too late for that.
	goTracked(f func()) bool
	// handshakeSlots holds a token for each handshake that is being worked on; see dtlsConn. nil: there is no limit.
	handshakeSlots() chan struct{}
}

// drops counts what the links of a server have dropped.
type drops struct {
	sent      atomic.Uint64 // the system did not take it
	handshake atomic.Uint64
	reports   atomic.Uint64 // genuine ones
	forged    atomic.Uint64 // RTCP
}

// link is a viewer's network side. The port's readers bring checks and datagrams and decrypt, the session performs the
// handshake, and from then on the viewer's worker sends.
type link struct {
	socket   *mediaport.Socket
	endpoint *mediaport.Endpoint
	events   linkEvents
	drops    *drops
	tie      [8]byte // the tie-breaker (RFC 8445 section 16.1)

	certificate *ownCertificate   // that the answer named
	restarts    sdp.RestartAnswer // what all answers to a restart have in common

	selected  atomic.Pointer[source]
	spoke     atomic.Int64  // when the viewer itself last used the selected path, by monotonic.Nanos
	due       atomic.Int64  // when the next question is due, by monotonic.Nanos
	reports   budget        // of genuine RTCP datagrams
	in        inbound       // opens them
	finished  atomic.Bool   // one has come, so the viewer's handshake is over too
	reachable chan struct{} // closed when there is a selected path

	// Set by the handshake; then the worker's.
	media rtpSealer
	out   *srtp.Context // of RTCP

	mu           sync.Mutex
	*credentials              // of the path in use, before that the offer's
	next         *credentials // of a restart under way: its paths have not proven themselves; nil: there is none
	closed       bool
	begun        bool // the first right check has come
	proven       bool // reachable is closed
	ids          mediaport.RecentIDs
	sources      []*source
	pipe         *dtlsConn // while there is a handshake
	parked       *idleDTLS // after it
}

// newLink makes a link to a viewer with these ICE credentials (RFC 8839 section 5.4). It gets nothing before its
// endpoint is opened.
func newLink(s *mediaport.Socket, remoteUfrag, remotePassword string, events linkEvents, d *drops) *link {
	l := &link{
		socket: s, events: events, drops: d,
		credentials: newCredentials(remoteUfrag, remotePassword), tie: [8]byte([]byte(sdp.RandomText(8))),
		reachable: make(chan struct{}),
		reports:   budget{interval: reportsInterval, burst: reportsBurst},
	}
	l.endpoint = s.NewEndpoint(l.ufrag, l)
	return l
}

// transmit sends one datagram.
func (l *link) transmit(b []byte, to *mediaport.Path) {
	if l.socket.Send(b, to) != nil {
		l.drops.sent.Add(1)
	}
}

// HandlePacket implements mediaport.Handler.
func (l *link) HandlePacket(b []byte, from netip.AddrPort, local netip.Addr) {
	switch {
	case b[0] >= 20 && b[0] <= 63:
		l.handleDTLS(b, from, local)
	case b[0] >= 128 && b[0] <= 191:
		l.handleRTCP(b, from, local, time.Now())
	}
}

// Panicked implements mediaport.Handler.
func (l *link) Panicked() { l.events.ended(errPanic) }

// reach asks until an address of the viewer has proven itself. It fails with ctx's cause.
func (l *link) reach(ctx context.Context) error {
	tick := time.NewTicker(firstRepeat)
	defer tick.Stop()
	for {
		select {
		case <-l.reachable:
			return nil
		case now := <-tick.C:
			l.attend(now)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// handleDTLS takes a DTLS datagram from a source.
func (l *link) handleDTLS(b []byte, from netip.AddrPort, local netip.Addr) {
	now := time.Now()
	s, parked, err := l.push(b, from, local)
	switch {
	case err != nil:
		l.events.ended(err)
	case parked != nil:
		parked.handle(l, b, now)
	default:
		l.speaks(s, now)
	}
}

// push gives a datagram to the handshake if one is running. The lock keeps it from a connection that is being laid to
// rest.
func (l *link) push(b []byte, from netip.AddrPort, local netip.Addr) (*source, *idleDTLS, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.at(from, local)
	if l.pipe == nil {
		return s, l.parked, nil
	}
	if s != nil {
		s.received += len(b)
	}
	return s, nil, l.pipe.push(b)
}

// send encrypts the packet whose header is in room, which is the batch's, and adds it to the batch. Only the worker
// calls it.
func (l *link) send(b *mediaport.Batch, room, payload []byte, index int64) error {
	n, err := l.media.seal(room, payload, index)
	if err != nil {
		return err
	}
	b.Add(n, l.selected.Load().path)
	return nil
}

// sendRTCP encrypts and sends a compound packet. Only the worker calls it.
func (l *link) sendRTCP(packets []rtcp.Packet) error {
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		return err
	}
	sealed, err := l.out.EncryptRTCP(nil, plain, nil)
	if err != nil {
		return err
	}
	l.transmit(sealed, l.selected.Load().path)
	return nil
}

// close says goodbye to the viewer if it is connected, and ends the link: no check is answered from then on.
func (l *link) close() {
	l.mu.Lock()
	parked, pipe := l.parked, l.pipe
	l.closed, l.parked = true, nil
	sources := l.sources
	claims := make([]*mediaport.Claim, 0, len(sources))
	for _, s := range sources {
		l.forgetQuestion(s)
		claims = append(claims, s.Claim)
	}
	l.mu.Unlock()
	if pipe != nil {
		_ = pipe.Close()
	}
	if parked != nil {
		parked.goodbye(l)
	}
	l.endpoint.Close(claims...)
}
