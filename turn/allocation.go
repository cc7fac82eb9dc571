package turn

import (
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun"
)

const (
	permissionLife = 5 * time.Minute  // RFC 8656 section 9
	channelLife    = 10 * time.Minute // section 12; pion's servers are set to it too
	maxPeers       = 64               // of one allocation: our media addresses, present and former
)

// allocation is a client's place in the relay. To pion it is the net.PacketConn of a relayed address.
type allocation struct {
	server     *Server
	interposer *interposer
	client     netip.AddrPort
	path       replyPath
	user       string
	id         string // of the credential
	virtual    netip.Addr
	relayed    netip.AddrPort // what the client is told
	used       atomic.Int64   // when the media last had something for it; unix nanoseconds

	up bucket // owned by the interposer's reader

	mu          sync.Mutex
	down        bucket
	permissions map[netip.Addr]*permission
	done        chan struct{} // closed when the allocation is in no count and no list
	ended       bool
	byPion      bool // pion ended it, not us

	peers atomic.Pointer[[]*peer] // only added to, under mu; a virtual port is an index in it plus one
}

// permission allows one address of the media (RFC 8656 section 9).
type permission struct{ until atomic.Int64 } // unix nanoseconds

func (p *permission) holds(now int64) bool { return p.until.Load() > now }

// peer is a media address to which the client has a channel or has sent.
type peer struct {
	address    netip.AddrPort
	virtual    netip.AddrPort // the client, as the media sees it when it speaks to this address
	permission *permission
	prefix     []byte // of Data indications

	channel atomic.Uint32 // 0: none
	until   atomic.Int64  // of the channel
}

func (p *peer) channelAt(now int64) uint16 {
	if p.until.Load() <= now {
		return 0
	}
	return uint16(p.channel.Load())
}

func (a *allocation) list() []*peer {
	if l := a.peers.Load(); l != nil {
		return *l
	}
	return nil
}

// permit makes or prolongs the permission for an address.
func (a *allocation) permit(ip netip.Addr, now int64) *permission {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.permissions[ip]
	if p == nil {
		if len(a.permissions) >= maxPeers {
			return new(permission)
		}
		p = new(permission)
		a.permissions[ip] = p
	}
	p.until.Store(now + int64(permissionLife))
	return p
}

// permission returns the permission for an address, or nil if there is none or it has expired.
func (a *allocation) permission(ip netip.Addr, now int64) *permission {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.permissions[ip]; p != nil && p.holds(now) {
		return p
	}
	return nil
}

// knows reports whether the client was ever allowed to send to an address. It stays allowed when the media's
// addresses change.
func (a *allocation) knows(ip netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.permissions[ip] != nil
}

// speaksTo is knows for an address with its port.
func (a *allocation) speaksTo(address netip.AddrPort) bool {
	return slices.ContainsFunc(a.list(), func(p *peer) bool { return p.address == address })
}

// peerAt finds or makes a peer. It returns nil if there are too many.
func (a *allocation) peerAt(address netip.AddrPort, p *permission) *peer {
	for _, known := range a.list() {
		if known.address == address {
			return known
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.list()
	if len(list) >= maxPeers {
		return nil
	}
	fresh := &peer{
		address: address, virtual: netip.AddrPortFrom(a.virtual, uint16(len(list)+1)), permission: p,
		prefix: indication(peerAddress{address}),
	}
	list = append(slices.Clone(list), fresh)
	a.peers.Store(&list)
	return fresh
}

func (a *allocation) byChannel(number uint16, now int64) *peer {
	for _, p := range a.list() {
		if p.channelAt(now) == number {
			return p
		}
	}
	return nil
}

// grant gives permissions (RFC 8656 section 10) or a channel (section 12), or returns why not. Only the interposer's
// reader calls it.
func (a *allocation) grant(m *stun.Message, now int64) stun.ErrorCode {
	if m.Type == channelRequest {
		number, ok := channelOf(m) // pion accepts any number, but others could not be told from STUN messages
		to, there := peerOf(m)
		switch {
		case !ok:
			return stun.CodeBadRequest
		case !there || !a.server.isMedia(to) && !a.speaksTo(to): // unlike a permission, a channel is for one port
			return stun.CodeForbidden
		case !a.bind(number, to, now):
			return stun.CodeBadRequest
		}
		return 0
	}
	var granted []netip.Addr
	err := m.ForEach(stun.AttrXORPeerAddress, func(m *stun.Message) error {
		to, ok := peerOf(m)
		if !ok || !a.server.isMediaIP(to.Addr()) && !a.knows(to.Addr()) {
			return errRefused
		}
		granted = append(granted, to.Addr())
		return nil
	})
	if err != nil {
		return stun.CodeForbidden // all or nothing
	}
	for _, ip := range granted {
		a.permit(ip, now)
	}
	return 0
}

// bind gives a peer its channel, or prolongs it. It reports false if the peer or the channel is bound otherwise.
func (a *allocation) bind(number uint16, address netip.AddrPort, now int64) bool {
	for _, p := range a.list() {
		if other := p.channelAt(now); other != 0 && (other == number) != (p.address == address) {
			return false
		}
	}
	p := a.peerAt(address, a.permit(address.Addr(), now))
	if p == nil {
		return false
	}
	p.channel.Store(uint32(number))
	p.until.Store(now + int64(channelLife))
	return true
}

// send sends a run of datagrams to the client.
func (a *allocation) send(b []byte, size int, port uint16) {
	stats := &a.server.stats
	list := a.list()
	if port == 0 || int(port) > len(list) {
		stats.dropUnknown.Add(1)
		return
	}
	p, now := list[port-1], a.server.now()
	a.mu.Lock()
	room := a.down.take(now, len(b), a.server.cfg.Limits.Rate)
	a.mu.Unlock()
	datagrams := uint64((len(b) + size - 1) / size)
	if !room {
		stats.dropRate.Add(datagrams)
		return
	}
	number := p.channelAt(now)
	if number == 0 && !p.permission.holds(now) {
		stats.dropPermission.Add(datagrams)
		return
	}
	a.used.Store(now)
	if lost := a.path.data(b, size, number, p.prefix); lost > 0 {
		stats.dropQueue.Add(uint64(lost))
	}
	stats.downDatagrams.Add(datagrams)
	stats.downBytes.Add(uint64(len(b)))
}

// receive hands a datagram of the client to the media. Only the interposer's reader calls it.
func (a *allocation) receive(b []byte, p *peer, now int64) {
	stats := &a.server.stats
	if !a.up.take(now, len(b), a.server.cfg.Limits.Rate) {
		stats.dropRate.Add(1)
		return
	}
	stats.upDatagrams.Add(1)
	stats.upBytes.Add(uint64(len(b)))
	a.server.cfg.Deliver(b, p.virtual)
}

// close ends the allocation from our side, and pion deletes its own.
func (a *allocation) close() { a.end(false) }

func (a *allocation) end(byPion bool) {
	a.mu.Lock()
	if a.ended {
		a.mu.Unlock()
		return
	}
	a.ended, a.byPion = true, byPion
	a.mu.Unlock()
	a.server.forget(a)
	a.interposer.ended(a, byPion)
	close(a.done) // last: the server's Close waits for pion's goroutine, which waits for this
}

// hasEnded reports whether the allocation has ended.
func (a *allocation) hasEnded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended
}

// ReadFrom implements net.PacketConn for pion, whose goroutine of this allocation waits here for its end.
func (a *allocation) ReadFrom([]byte) (int, net.Addr, error) {
	<-a.done
	defer a.server.running.Done()
	if a.byPion {
		// pion has deleted the allocation already. After an error, its packetHandler would delete by the client's
		// address again, which may hit the client's next allocation. That goroutine holds no lock here and has
		// nothing deferred (pion/turn v2.1.6, internal/allocation/allocation.go:236-245).
		runtime.Goexit()
	}
	return 0, nil, net.ErrClosed
}

// WriteTo implements net.PacketConn. Data bypasses pion, so pion has nothing to write.
func (a *allocation) WriteTo(b []byte, _ net.Addr) (int, error) {
	a.server.stats.dropForeign.Add(1)
	return len(b), nil
}

// Close implements net.PacketConn. pion calls it when the client or the lifetime ends the allocation.
func (a *allocation) Close() error {
	a.end(true)
	return nil
}

// LocalAddr implements net.PacketConn.
func (a *allocation) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(a.relayed) }

// SetDeadline implements net.PacketConn.
func (a *allocation) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (a *allocation) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn.
func (a *allocation) SetWriteDeadline(time.Time) error { return nil }

// peerAddress is XOR-PEER-ADDRESS (RFC 8656 section 18.3).
type peerAddress struct{ netip.AddrPort }

// AddTo implements stun.Setter.
func (p peerAddress) AddTo(m *stun.Message) error {
	return stun.XORMappedAddress{IP: p.Addr().AsSlice(), Port: int(p.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

// peerOf reads the first XOR-PEER-ADDRESS of a message. It rejects IPv4 addresses written as IPv6.
func peerOf(m *stun.Message) (netip.AddrPort, bool) {
	var x stun.XORMappedAddress
	if !addressesWhole(m) || x.GetFromAs(m, stun.AttrXORPeerAddress) != nil {
		return netip.AddrPort{}, false
	}
	ip, ok := plainIP(x.IP)
	return netip.AddrPortFrom(ip, uint16(x.Port)), ok
}

// plainIP is an address from the wire, where the length gives the family.
func plainIP(b net.IP) (netip.Addr, bool) {
	ip, ok := netip.AddrFromSlice(b)
	return ip, ok && !ip.Is4In6()
}
