package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"siaran/internal/netaddr"
	"siaran/internal/pionlog"

	"github.com/pion/stun"
	"github.com/pion/turn/v2"
)

// interposer stands between pion's server and the clients of one UDP socket, or the one client of a connection. pion
// reads and answers requests in one goroutine, one after the other (pion/turn v2.1.6, server.go:183, readLoop), so
// the current request is known whenever pion calls.
type interposer struct {
	server    *Server
	transport transport
	reliable  bool

	request request // owned by the reader, and by pion while it answers

	mu          sync.RWMutex
	allocations map[netip.AddrPort]*allocation // by client
}

// transport leads from a socket to its clients.
type transport interface {
	replyPath(client netip.AddrPort, local netip.Addr) replyPath
}

// replyPath sends to one client. Its methods never wait, and may be called from any goroutine.
type replyPath interface {
	// data sends a run of datagrams as ChannelData, or as Data indications if the channel is 0. It returns how many
	// were lost.
	data(b []byte, size int, channel uint16, prefix []byte) (lost int)
	// answer sends one message.
	answer(b []byte)
	// ended is called when the client's allocation has been closed: by pion, or by us.
	ended(byPion bool)
}

func newInterposer(s *Server, t transport) *interposer {
	return &interposer{server: s, transport: t, allocations: make(map[netip.AddrPort]*allocation)}
}

// request is the one that pion is answering.
type request struct {
	message    *stun.Message
	client     netip.AddrPort
	local      netip.Addr  // which of our addresses it came to; may be invalid
	allocation *allocation // the client's; may be nil
	fresh      *allocation // the one that this request has made
	user, id   string
	key        stun.MessageIntegrity // nil until the user is known
	asked      bool                  // for permissions or a channel, with valid credentials
	refusal    stun.ErrorCode        // our own, which pion cannot express

	fingerprint bool // the message had one, and so has our answer
}

func (i *interposer) allocationOf(client netip.AddrPort) *allocation {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.allocations[client]
}

func (i *interposer) ended(a *allocation, byPion bool) {
	i.unlist(a)
	a.path.ended(byPion)
}

// list registers an allocation under its client, unless it has ended in the meantime.
func (i *interposer) list(a *allocation) {
	i.mu.Lock()
	i.allocations[a.client] = a
	i.mu.Unlock()
	if a.hasEnded() {
		i.unlist(a)
	}
}

func (i *interposer) unlist(a *allocation) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.allocations[a.client] == a {
		delete(i.allocations, a.client)
	}
}

// take handles what a client has sent to one of our addresses, and reports whether there is a request for pion to
// answer: i.request has its message. Only the reader calls it.
func (i *interposer) take(b []byte, from netip.AddrPort, local netip.Addr) (forPion bool) {
	defer i.server.faults.Recover("handle a datagram of a TURN client", nil)
	a := i.allocationOf(from)
	now := i.server.now()
	if number, data, ok := channelData(b); ok {
		if a == nil {
			i.server.stats.dropUnknown.Add(1)
		} else if p := a.byChannel(number, now); p == nil {
			i.server.stats.dropPermission.Add(1)
		} else {
			a.receive(data, p, now)
		}
		return false
	}
	if len(b) < stunHeader || b[0]>>6 != 0 || !stun.IsMessage(b) {
		i.server.stats.dropJunk.Add(1)
		return false
	}
	if a == nil && !i.server.newcomers.take(netaddr.SourceOf(from.Addr()), now) {
		i.server.stats.dropLimited.Add(1)
		return false
	}
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if m.Decode() != nil || !addressesWhole(m) {
		i.server.stats.dropJunk.Add(1)
		return false
	}
	if a != nil && m.Type.Class == stun.ClassRequest && !a.up.take(now, requestCost, i.server.cfg.Limits.Rate) {
		i.server.stats.dropRate.Add(1)
		return false
	}
	switch m.Type {
	case stun.NewType(stun.MethodSend, stun.ClassIndication):
		i.sendIndication(m, a, now)
	case stun.BindingRequest:
		i.binding(m, from, local)
	case allocateRequest, refreshRequest, permissionRequest, channelRequest:
		if a == nil && !i.reliable && len(b) < shortestAllocate {
			i.server.stats.dropJunk.Add(1)
			return false
		}
		fingerprint := m.Contains(stun.AttrFingerprint)
		cutTail(m)
		i.request = request{message: m, client: from, local: local, allocation: a, fingerprint: fingerprint}
		return true
	default:
		i.server.stats.dropJunk.Add(1)
	}
	return false
}

// shortestAllocate is the least length in bytes of a client's first request: it has REQUESTED-TRANSPORT. The refusal
// with the nonce is five times as long; shorter requests would let forged sources amplify more.
const shortestAllocate = stunHeader + 8

// requestCost is how many bytes of an allocation's rate a request takes up: it costs more than data does.
const requestCost = 8 << 10

var (
	allocateRequest   = stun.NewType(stun.MethodAllocate, stun.ClassRequest)
	refreshRequest    = stun.NewType(stun.MethodRefresh, stun.ClassRequest)
	permissionRequest = stun.NewType(stun.MethodCreatePermission, stun.ClassRequest)
	channelRequest    = stun.NewType(stun.MethodChannelBind, stun.ClassRequest)
)

// sendIndication handles data sent without a channel (RFC 8656 section 11.2).
func (i *interposer) sendIndication(m *stun.Message, a *allocation, now int64) {
	data, err := m.Get(stun.AttrData)
	to, ok := peerOf(m)
	switch {
	case a == nil:
		i.server.stats.dropUnknown.Add(1)
		return
	case err != nil || !ok:
		i.server.stats.dropJunk.Add(1)
		return
	}
	p := a.permission(to.Addr(), now)
	switch {
	case p == nil:
		i.server.stats.dropPermission.Add(1)
	case !i.server.isMedia(to):
		i.server.stats.dropForeign.Add(1) // another port of one of our addresses
	default:
		if peer := a.peerAt(to, p); peer != nil {
			a.receive(data, peer, now)
		}
	}
}

// binding answers a client that asks for its address (RFC 8489 section 12). An answer more than twice as long as the
// question is not sent, so that forging a source amplifies little.
func (i *interposer) binding(m *stun.Message, from netip.AddrPort, local netip.Addr) {
	setters := []stun.Setter{
		stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())},
	}
	if m.Contains(stun.AttrFingerprint) {
		setters = append(setters, stun.Fingerprint)
	}
	if answer, err := stun.Build(setters...); err == nil && (i.reliable || len(answer.Raw) <= 2*len(m.Raw)) {
		i.server.stats.bindings.Add(1)
		i.transport.replyPath(from, local).answer(answer.Raw)
	}
}

// authenticate is pion's AuthHandler.
func (i *interposer) authenticate(user, realm string, _ net.Addr) (_ []byte, ok bool) {
	defer i.server.faults.Recover("authenticate a TURN client", func() { ok = false })
	r := &i.request
	holder := r.allocation != nil && r.allocation.user == user
	key, id, ok := i.server.key(user, realm, holder)
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

// permits is pion's PermissionHandler. pion calls it after it has authenticated the client. It always refuses, and
// answered replies instead, because pion's own permissions and channels crash if the allocation ends while they are
// made: between AddPermission's insert and start, the permission has no timer yet, and Close stops it (pion/turn
// v2.1.6, internal/allocation/allocation.go:79-84 and 202).
func (i *interposer) permits(net.Addr, net.IP) bool {
	i.request.asked = true
	return false
}

// grant gives a client the permissions or the channel that it asks for, or returns why not.
func (i *interposer) grant() stun.ErrorCode {
	r := &i.request
	if r.allocation == nil {
		return stun.CodeAllocMismatch // it has just ended; pion will learn of it soon
	}
	code := r.allocation.grant(r.message, i.server.now())
	if code == stun.CodeForbidden {
		i.server.stats.refusedPermission.Add(1)
	}
	return code
}

var errRefused = errors.New("refused")

// Validate implements turn.RelayAddressGenerator.
func (i *interposer) Validate() error { return nil }

// AllocateConn implements turn.RelayAddressGenerator.
func (i *interposer) AllocateConn(string, int) (net.Conn, net.Addr, error) {
	return nil, nil, errRefused
}

// AllocatePacketConn implements turn.RelayAddressGenerator. It makes the allocation for the current request.
func (i *interposer) AllocatePacketConn(string, int) (_ net.PacketConn, _ net.Addr, err error) {
	defer i.server.faults.Recover("allocate for a TURN client", func() { err = errRefused })
	r := &i.request
	a, code := i.server.allocate(i, r)
	if code != 0 {
		r.refusal = code
		return nil, nil, errRefused
	}
	r.fresh = a
	i.list(a)
	return a, net.UDPAddrFromAddrPort(a.relayed), nil
}

// answered sends pion's answer to the request, or our own where the relay decides.
func (i *interposer) answered(b []byte) {
	defer i.server.faults.Recover("answer a TURN client", nil)
	r := &i.request
	m := &stun.Message{Raw: b}
	if r.message == nil || m.Decode() != nil || m.TransactionID != r.message.TransactionID {
		return
	}
	stats := &i.server.stats
	switch {
	case r.asked:
		if r.refusal = i.grant(); r.refusal == 0 {
			stats.authOK.Add(1)
		}
		b = r.answer()
	case m.Type.Class == stun.ClassSuccessResponse:
		stats.authOK.Add(1)
	case r.refusal != 0:
		b = r.answer()
	// A CreatePermission without addresses: pion's error has no code (pion/turn v2.1.6, internal/server/turn.go:259).
	case !m.Contains(stun.AttrErrorCode):
		r.refusal = stun.CodeBadRequest
		b = r.answer()
	case r.key != nil && !i.signed():
		stats.authWrong.Add(1)
	}
	switch {
	case r.allocation != nil:
		r.allocation.path.answer(b)
	case r.fresh != nil:
		r.fresh.path.answer(b)
	default:
		i.transport.replyPath(r.client, r.local).answer(b)
	}
}

// signed reports whether the request's signature was right.
func (i *interposer) signed() bool {
	m := &stun.Message{Raw: append([]byte(nil), i.request.message.Raw...)}
	return m.Decode() == nil && i.request.key.Check(m) == nil
}

// answer builds our own answer: success, or the refusal.
func (r *request) answer() []byte {
	setters := []stun.Setter{stun.NewTransactionIDSetter(r.message.TransactionID)}
	if r.refusal == 0 {
		setters = append(setters, stun.NewType(r.message.Type.Method, stun.ClassSuccessResponse), r.key)
	} else {
		setters = append(setters, stun.NewType(r.message.Type.Method, stun.ClassErrorResponse), r.refusal, r.key)
	}
	if r.fingerprint {
		setters = append(setters, stun.Fingerprint)
	}
	m, err := stun.Build(setters...)
	if err != nil {
		return nil
	}
	return m.Raw
}

// serve starts a server of pion's on the interposer's connection.
func (i *interposer) serve(conn net.PacketConn) (*turn.Server, error) {
	return turn.NewServer(turn.ServerConfig{
		Realm: realm, AuthHandler: i.authenticate, InboundMTU: maxDatagram, ChannelBindTimeout: channelLife,
		LoggerFactory: pionlog.Silent,
		PacketConnConfigs: []turn.PacketConnConfig{
			{PacketConn: conn, RelayAddressGenerator: i, PermissionHandler: i.permits},
		},
	})
}
