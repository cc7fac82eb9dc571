package ingest

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/pion/stun"
	piontransport "github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"

	"siaran/internal/sdp"
)

// A parent sends the beginning of a broadcast faster than it was recorded. What the system holds of it, in bytes.
const socketBuffer = 4 << 20

// sockets are the network of a pull: UDP sockets of its own, one on each of the machine's addresses. It cannot share
// the media port, where an address belongs to who has sent a connectivity check from there: a parent that is ICE lite
// sends none, and two servers that pull from each other would have one pair of addresses for both sessions.
type sockets struct {
	*stdnet.Net
	shut    atomic.Bool   // from then on nothing comes in
	reached chan struct{} // receives when the parent has answered a check

	mu       sync.Mutex
	expected bool // the answer is here; before it, nobody has a reason to send
	filter
}

func newSockets() (*sockets, error) {
	n, err := stdnet.NewNet()
	return &sockets{Net: n, reached: make(chan struct{}, 1)}, err
}

// expect lets in what the parent that has sent this answer may send. spent is as in filter.
func (s *sockets) expect(answer *sdp.Offer, spent func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter.expect(answer, spent)
	s.expected = true
}

func (s *sockets) connects() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secured()
}

func (s *sockets) takes(data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.expected || s.shut.Load() || !s.passes(data) {
		return false
	}
	if !s.connected {
		if _, success := transactionOf(data, stun.BindingSuccess); success {
			poke(s.reached)
		}
	}
	return true
}

// ListenUDP opens one of the sockets; pion calls it, and closes them.
func (s *sockets) ListenUDP(network string, local *net.UDPAddr) (piontransport.UDPConn, error) {
	conn, err := net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(socketBuffer) // what the system allows has to do
	return &socket{UDPConn: conn, all: s}, nil
}

type socket struct {
	*net.UDPConn
	all *sockets
}

// ReadFrom implements net.PacketConn.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.UDPConn.ReadFrom(b)
		if err != nil || s.all.takes(b[:n]) {
			return n, from, err
		}
	}
}
