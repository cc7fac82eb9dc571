package egress

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v2"
	"github.com/pion/stun"
)

// link is a viewer's network side. The socket's reader brings checks and datagrams, the
// session does the handshake, and from then on the viewer's worker sends and decrypts.
type link struct {
	socket      *Socket
	ufrag, pwd  string // ours
	remoteUfrag string
	integrity   stun.MessageIntegrity // with our password, which checks and their answers both use

	// Called by the socket's reader, so they must not wait; set before the link is registered.
	found  func()        // once, with the first right check
	rtcp   func([]byte)  // takes a copy of an SRTCP datagram
	hungUp func()        // the viewer has said goodbye
	spawn  func(func())  // runs something that may wait
	places chan struct{} // see dtlsPipe; nil: there are enough

	selected  atomic.Pointer[path]
	lastCheck atomic.Int64 // unix nanoseconds

	// Set by the handshake; then the worker's.
	media   rtpSealer
	out, in *srtp.Context // of RTCP

	mu      sync.Mutex
	closed  bool
	sources []source
	pipe    *dtlsPipe   // while there is a handshake
	parked  *parkedDTLS // after it
}

// source is an address that right checks have come from.
type source struct {
	address netip.AddrPort
	seen    time.Time
}

func newLink(s *Socket, remoteUfrag string) *link {
	l := &link{socket: s, ufrag: randomText(6), pwd: randomText(18), remoteUfrag: remoteUfrag}
	l.integrity = stun.NewShortTermIntegrity(l.pwd)
	return l
}

// handleDTLS takes a datagram from an address that has been checked. It is called by the socket's reader.
func (l *link) handleDTLS(b []byte) {
	l.mu.Lock()
	parked := l.parked
	if l.pipe != nil && !l.pipe.push(b) { // with the lock held, so that nothing is pushed to one that is being parked
		l.socket.drops.dtls.Add(1)
	}
	l.mu.Unlock()
	if parked != nil {
		parked.handle(l, b, time.Now())
	}
}

func (l *link) handleRTCP(b []byte) { l.rtcp(append([]byte(nil), b...)) }

// send encrypts the packet whose header is in room, the batch's, and adds it to the batch. Only the worker calls it.
func (l *link) send(b *batch, room, payload []byte, index int64) error {
	n, err := l.media.seal(room, payload, index)
	if err != nil {
		return err
	}
	b.add(n, l.selected.Load())
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
	l.socket.send(sealed, l.selected.Load())
	return nil
}

// close says goodbye to the viewer if there is a connection to it, and forgets the link; no check is answered from then on.
func (l *link) close() {
	l.mu.Lock()
	parked := l.parked
	l.closed, l.parked = true, nil
	addresses := make([]netip.AddrPort, len(l.sources))
	for i, s := range l.sources {
		addresses[i] = s.address
	}
	l.mu.Unlock()
	if parked != nil {
		parked.goodbye(l)
	}
	l.socket.unregister(l, addresses)
}
