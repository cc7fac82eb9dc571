package turn

import (
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/pion/logging"
	"github.com/pion/stun"
	"github.com/pion/turn/v2"
)

// front stands between pion's server and the clients of one UDP socket, or the one client of a connection. pion reads and
// answers requests in one goroutine, one after the other, so that the request in hand is known whenever pion calls.
type front struct {
	server *Server
	ways   ways
	stream bool

	request request // the reader's, and pion's while it has it in hand

	mu          sync.RWMutex
	allocations map[netip.AddrPort]*allocation // by client
}

// ways is how clients are reached from a socket.
type ways interface {
	way(client netip.AddrPort, local netip.Addr) way
}

// way is how one client is reached. It never waits, and may be used from any goroutine.
type way interface {
	// data takes a run of datagrams as ChannelData, or as Data indications when the channel is 0. It returns how many were lost.
	data(b []byte, size int, channel uint16, prefix []byte) (lost int)
	// answer takes one message.
	answer(b []byte)
	// ended is told that the client's allocation has been closed, by us when byPion is false.
	ended(byPion bool)
}

func newFront(s *Server, w ways) *front {
	return &front{server: s, ways: w, allocations: make(map[netip.AddrPort]*allocation)}
}

// request is what pion is answering.
type request struct {
	message    *stun.Message
	client     netip.AddrPort
	local      netip.Addr  // which of our addresses it came to; may be invalid
	allocation *allocation // of the client; nil: none
	fresh      *allocation // that the request has made
	user, id   string
	key        stun.MessageIntegrity // nil until the user is known
	asked      bool                  // for permissions or a channel, by who may ask
	refusal    stun.ErrorCode        // the relay's own, which pion cannot say
}

func (f *front) allocationOf(client netip.AddrPort) *allocation {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.allocations[client]
}

func (f *front) ended(a *allocation, byPion bool) {
	f.unlist(a)
	a.way.ended(byPion)
}

func (f *front) unlist(a *allocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.allocations[a.client] == a {
		delete(f.allocations, a.client)
	}
}

// take looks at what a client has sent to an address of ours. True: it is a request for pion to answer. Only the reader calls it.
func (f *front) take(b []byte, from netip.AddrPort, local netip.Addr) bool {
	a := f.allocationOf(from)
	now := f.server.now()
	if number, data, ok := channelData(b); ok {
		if a == nil {
			f.server.stats.dropUnknown.Add(1)
		} else if p := a.byChannel(number, now); p == nil {
			f.server.stats.dropPermission.Add(1)
		} else {
			a.receive(data, p, now)
		}
		return false
	}
	if len(b) < stunHeader || b[0]>>6 != 0 || !stun.IsMessage(b) {
		f.server.stats.dropJunk.Add(1)
		return false
	}
	if a == nil && !f.server.strangers.take(sourceOf(from.Addr()), now) {
		f.server.stats.dropLimited.Add(1)
		return false
	}
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if m.Decode() != nil || !addressesWhole(m) {
		f.server.stats.dropJunk.Add(1)
		return false
	}
	if a != nil && m.Type.Class == stun.ClassRequest && !a.up.take(now, requestCost, f.server.cfg.Limits.Rate) {
		f.server.stats.dropRate.Add(1)
		return false
	}
	switch m.Type {
	case stun.NewType(stun.MethodSend, stun.ClassIndication):
		f.sendIndication(m, a, now)
	case stun.BindingRequest:
		f.binding(m, from, local)
	case allocateRequest, refreshRequest, permissionRequest, channelRequest:
		if a == nil && !f.stream && len(b) < shortestAllocate {
			f.server.stats.dropJunk.Add(1)
			return false
		}
		f.request = request{message: m, client: from, local: local, allocation: a}
		return true
	default:
		f.server.stats.dropJunk.Add(1)
	}
	return false
}

// shortestAllocate is how long a client's first request is at least: with REQUESTED-TRANSPORT. The refusal with the nonce is
// five times as long, so forged sources get no more for less.
const shortestAllocate = stunHeader + 8

// requestCost is how many bytes of its rate an allocation's request stands for: it costs more than data.
const requestCost = 8 << 10

var (
	allocateRequest   = stun.NewType(stun.MethodAllocate, stun.ClassRequest)
	refreshRequest    = stun.NewType(stun.MethodRefresh, stun.ClassRequest)
	permissionRequest = stun.NewType(stun.MethodCreatePermission, stun.ClassRequest)
	channelRequest    = stun.NewType(stun.MethodChannelBind, stun.ClassRequest)
)

// sendIndication takes data that comes without a channel (RFC 8656 section 11.2).
func (f *front) sendIndication(m *stun.Message, a *allocation, now int64) {
	data, err := m.Get(stun.AttrData)
	to, ok := peerOf(m)
	switch {
	case a == nil:
		f.server.stats.dropUnknown.Add(1)
		return
	case err != nil || !ok:
		f.server.stats.dropJunk.Add(1)
		return
	}
	p := a.permission(to.Addr(), now)
	switch {
	case p == nil:
		f.server.stats.dropPermission.Add(1)
	case !f.server.isMedia(to):
		f.server.stats.dropForeign.Add(1) // another port of an address of ours
	default:
		if peer := a.peerAt(to, p); peer != nil {
			a.receive(data, peer, now)
		}
	}
}

// binding answers a client that asks for its address (RFC 8489 section 12). What would be more than twice as long as the
// question is left out, so that no one gains by forging a source.
func (f *front) binding(m *stun.Message, from netip.AddrPort, local netip.Addr) {
	setters := []stun.Setter{
		stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())},
	}
	if m.Contains(stun.AttrFingerprint) {
		setters = append(setters, stun.Fingerprint)
	}
	if answer, err := stun.Build(setters...); err == nil && (f.stream || len(answer.Raw) <= 2*len(m.Raw)) {
		f.server.stats.bindings.Add(1)
		f.ways.way(from, local).answer(answer.Raw)
	}
}

// authenticate is pion's AuthHandler.
func (f *front) authenticate(user, realm string, _ net.Addr) ([]byte, bool) {
	r := &f.request
	holder := r.allocation != nil && r.allocation.user == user
	key, id, ok := f.server.key(user, realm, holder)
	if !ok {
		return nil, false
	}
	r.user, r.id, r.key = user, id, key
	if r.allocation != nil && !holder && r.message.Type != allocateRequest {
		r.refusal = stun.CodeWrongCredentials // RFC 8656 section 5
		return nil, false
	}
	return key, true
}

// permits is pion's PermissionHandler, which it asks when it knows that the client may ask. It hears no each time, and the
// front answers instead: pion's own permissions and channels crash when the allocation ends while they are made.
func (f *front) permits(net.Addr, net.IP) bool {
	f.request.asked = true
	return false
}

// grant gives a client the permissions or the channel that it asks for, or says why not.
func (f *front) grant() stun.ErrorCode {
	r := &f.request
	if r.allocation == nil {
		return stun.CodeAllocMismatch // it has just ended; pion is about to hear of it
	}
	code := r.allocation.grant(r.message, f.server.now())
	if code == stun.CodeForbidden {
		f.server.stats.refusedPermission.Add(1)
	}
	return code
}

var errRefused = errors.New("refused")

// Validate implements turn.RelayAddressGenerator.
func (f *front) Validate() error { return nil }

// AllocateConn implements turn.RelayAddressGenerator.
func (f *front) AllocateConn(string, int) (net.Conn, net.Addr, error) { return nil, nil, errRefused }

// AllocatePacketConn implements turn.RelayAddressGenerator. It makes the allocation that the request asks for.
func (f *front) AllocatePacketConn(string, int) (net.PacketConn, net.Addr, error) {
	r := &f.request
	a, code := f.server.allocate(f, r)
	if code != 0 {
		r.refusal = code
		return nil, nil, errRefused
	}
	r.fresh = a
	f.mu.Lock()
	f.allocations[r.client] = a
	f.mu.Unlock()
	select {
	case <-a.done: // before it was listed
		f.unlist(a)
	default:
	}
	return a, net.UDPAddrFromAddrPort(a.relayed), nil
}

// answered takes what pion answers to the request, and says it better where the relay itself decides.
func (f *front) answered(b []byte) {
	r := &f.request
	m := &stun.Message{Raw: b}
	if r.message == nil || m.Decode() != nil || m.TransactionID != r.message.TransactionID {
		return
	}
	stats := &f.server.stats
	switch {
	case r.asked:
		if r.refusal = f.grant(); r.refusal == 0 {
			stats.authOK.Add(1)
		}
		b = r.answer()
	case m.Type.Class == stun.ClassSuccessResponse:
		stats.authOK.Add(1)
	case r.refusal != 0:
		b = r.answer()
	case !m.Contains(stun.AttrErrorCode): // as pion says that permissions for nothing were asked for
		r.refusal = stun.CodeBadRequest
		b = r.answer()
	case r.key != nil && !f.signed():
		stats.authWrong.Add(1)
	}
	switch {
	case r.allocation != nil:
		r.allocation.way.answer(b)
	case r.fresh != nil:
		r.fresh.way.answer(b)
	default:
		f.ways.way(r.client, r.local).answer(b)
	}
}

// signed tells whether the request's signature was right.
func (f *front) signed() bool {
	m := &stun.Message{Raw: append([]byte(nil), f.request.message.Raw...)}
	return m.Decode() == nil && f.request.key.Check(m) == nil
}

// answer is the relay's own: yes, or why not.
func (r *request) answer() []byte {
	setters := []stun.Setter{stun.NewTransactionIDSetter(r.message.TransactionID)}
	if r.refusal == 0 {
		setters = append(setters, stun.NewType(r.message.Type.Method, stun.ClassSuccessResponse), r.key)
	} else {
		setters = append(setters, stun.NewType(r.message.Type.Method, stun.ClassErrorResponse), r.refusal, r.key)
	}
	if r.message.Contains(stun.AttrFingerprint) {
		setters = append(setters, stun.Fingerprint)
	}
	m, err := stun.Build(setters...)
	if err != nil {
		return nil
	}
	return m.Raw
}

// serve starts pion's server on a connection that is a front's.
func (f *front) serve(conn net.PacketConn) (*turn.Server, error) {
	return turn.NewServer(turn.ServerConfig{
		Realm: realm, AuthHandler: f.authenticate, InboundMTU: maxDatagram, ChannelBindTimeout: channelLife,
		LoggerFactory:     silence,
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: conn, RelayAddressGenerator: f, PermissionHandler: f.permits}},
	})
}

// silence keeps pion's logs out of ours: strangers can fill them (T14).
var silence = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled, ScopeLevels: map[string]logging.LogLevel{}}

func randomAddr(prefix netip.Prefix) netip.Addr {
	b := prefix.Addr().As16()
	rand.Read(b[8:])
	return netip.AddrFrom16(b)
}
