package mediaport

import (
	"net/netip"
	"slices"

	"github.com/pion/stun/v3"
)

// TransactionID identifies a STUN request and its response (RFC 8489 section 5).
type TransactionID = [stun.TransactionIDSize]byte

// Handler takes what comes for one session. Its methods are called from the goroutines that read the port, maybe from
// several at a time, and must not wait. b is only lent. local is the address of ours that the datagram was sent to; it
// is invalid where the system does not tell.
type Handler interface {
	// HandleCheck takes a STUN request that names a user name fragment of the endpoint. Its integrity has not been
	// checked.
	HandleCheck(b []byte, from netip.AddrPort, local netip.Addr)
	// HandleAnswer takes a STUN response with a transaction id that the endpoint expects. Its integrity has not been
	// checked.
	HandleAnswer(b []byte, from netip.AddrPort, local netip.Addr)
	// HandlePacket takes what is not STUN from an address that belongs to the endpoint.
	HandlePacket(b []byte, from netip.AddrPort, local netip.Addr)
	// Panicked is called after HandlePacket has panicked.
	Panicked()
}

// Endpoint is one session at a socket. Its methods may be called from any goroutine.
type Endpoint struct {
	socket  *Socket
	handler Handler

	// Guarded by the socket's mu.
	open   bool
	ufrags []string // two during an ICE restart
}

// NewEndpoint makes an endpoint with a local user name fragment, which must be unique. It gets nothing before Open.
func (s *Socket) NewEndpoint(ufrag string, h Handler) *Endpoint {
	return &Endpoint{socket: s, ufrags: []string{ufrag}, handler: h}
}

// Open makes the endpoint's checks come to its handler.
func (e *Endpoint) Open() {
	e.socket.mu.Lock()
	defer e.socket.mu.Unlock()
	e.open = true
	for _, ufrag := range e.ufrags {
		e.socket.byUfrag[ufrag] = e
	}
}

// AddUfrag gives the endpoint one more local user name fragment, for an ICE restart (RFC 8445 section 9).
func (e *Endpoint) AddUfrag(ufrag string) {
	e.socket.mu.Lock()
	defer e.socket.mu.Unlock()
	e.ufrags = append(e.ufrags, ufrag)
	if e.open {
		e.socket.byUfrag[ufrag] = e
	}
}

// RemoveUfrag takes a local user name fragment from the endpoint: checks that name it come to nobody.
func (e *Endpoint) RemoveUfrag(ufrag string) {
	e.socket.mu.Lock()
	defer e.socket.mu.Unlock()
	e.ufrags = slices.DeleteFunc(e.ufrags, func(o string) bool { return o == ufrag })
	if e.socket.byUfrag[ufrag] == e {
		delete(e.socket.byUfrag, ufrag)
	}
}

// Expect makes a response with this transaction id the endpoint's, wherever it comes from. It is not subject to the
// limits for sources: nobody else can know the id.
func (e *Endpoint) Expect(id TransactionID) {
	e.socket.mu.Lock()
	defer e.socket.mu.Unlock()
	e.socket.byQuestion[id] = e
}

// Forget takes Expect back.
func (e *Endpoint) Forget(id TransactionID) {
	e.socket.mu.Lock()
	defer e.socket.mu.Unlock()
	if e.socket.byQuestion[id] == e {
		delete(e.socket.byQuestion, id)
	}
}

// Close ends the endpoint and gives up these claims, which are all that it has. The relay is told about those of its
// clients that were the endpoint's.
func (e *Endpoint) Close(claims ...*Claim) {
	s := e.socket
	var released []netip.AddrPort
	s.mu.Lock()
	e.open = false
	for _, ufrag := range e.ufrags {
		if s.byUfrag[ufrag] == e {
			delete(s.byUfrag, ufrag)
		}
	}
	for _, c := range claims {
		if c.remove() {
			released = append(released, c.address)
		}
	}
	s.mu.Unlock()
	s.relays.release(released)
}
