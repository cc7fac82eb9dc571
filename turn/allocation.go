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
	channelLife    = 10 * time.Minute // section 12; pion's servers are told so too
	maxPeers       = 64               // of one allocation: our own media addresses, and those of before they changed
)

// allocation is a client's place in the relay. It is also the net.PacketConn that pion believes to be its relayed socket.
type allocation struct {
	server  *Server
	front   *front
	client  netip.AddrPort
	way     way
	user    string
	id      string // of the credential
	virtual netip.Addr
	relayed netip.AddrPort // what the client is told
	used    atomic.Int64   // when the media last had something for it; unix nanoseconds

	up bucket // the front's reader's

	mu          sync.Mutex
	down        bucket
	permissions map[netip.Addr]*permission
	done        chan struct{}
	ended       bool
	byPion      bool // pion has let go of it, rather than we

	peers atomic.Pointer[[]*peer] // only added to, under mu; a virtual port is an index in it plus one
}

// permission is for one address of the media, as RFC 8656 has it.
type permission struct{ until atomic.Int64 } // unix nanoseconds

func (p *permission) holds(now int64) bool { return p.until.Load() > now }

// peer is a media address that the client has a channel to or has sent to.
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

// permitted gives the permission for an address, which it makes or prolongs.
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

// permission is nil when there is none, or none any more.
func (a *allocation) permission(ip netip.Addr, now int64) *permission {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.permissions[ip]; p != nil && p.holds(now) {
		return p
	}
	return nil
}

// knows tells whether the client was ever let speak to an address: it may go on when the media's addresses change.
func (a *allocation) knows(ip netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.permissions[ip] != nil
}

// speaksTo is knows for an address with its port.
func (a *allocation) speaksTo(address netip.AddrPort) bool {
	return slices.ContainsFunc(a.list(), func(p *peer) bool { return p.address == address })
}

// peerAt finds a peer, or makes it; nil when there are too many.
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

// grant gives permissions (RFC 8656 section 10) or a channel (section 12), or says why not. Only the front's reader calls it.
func (a *allocation) grant(m *stun.Message, now int64) stun.ErrorCode {
	if m.Type == channelRequest {
		number, ok := channelOf(m) // pion takes any number, and frames would not be told apart
		to, there := peerOf(m)
		switch {
		case !ok:
			return stun.CodeBadRequest
		case !there || !a.server.isMedia(to) && !a.speaksTo(to): // a permission is for all ports of an address; a channel is for one
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

// bind gives a peer its channel, or prolongs it; false when one of them has another.
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

// send takes a run of datagrams to the client.
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
	if lost := a.way.data(b, size, number, p.prefix); lost > 0 {
		stats.dropQueue.Add(uint64(lost))
	}
	stats.downDatagrams.Add(datagrams)
	stats.downBytes.Add(uint64(len(b)))
}

// receive takes a datagram of the client to the media. Only the front's reader calls it.
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

// close ends the allocation from our side: pion forgets it then.
func (a *allocation) close() { a.end(false) }

func (a *allocation) end(byPion bool) {
	a.mu.Lock()
	if a.ended {
		a.mu.Unlock()
		return
	}
	a.ended, a.byPion = true, byPion
	close(a.done)
	a.mu.Unlock()
	a.server.forget(a)
	a.front.ended(a, byPion)
}

// ReadFrom implements net.PacketConn for pion, whose goroutine of this allocation waits here for its end.
func (a *allocation) ReadFrom([]byte) (int, net.Addr, error) {
	<-a.done
	defer a.server.running.Done()
	if a.byPion {
		// pion has deleted the allocation. After an error it would do so once more, by the client's address, and so might hit the
		// allocation that has taken its place.
		runtime.Goexit()
	}
	return 0, nil, net.ErrClosed
}

// WriteTo implements net.PacketConn. Data goes past pion, so nothing comes here.
func (a *allocation) WriteTo(b []byte, _ net.Addr) (int, error) {
	a.server.stats.dropForeign.Add(1)
	return len(b), nil
}

// Close implements net.PacketConn; pion calls it when the client or the lifetime has ended the allocation.
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

// peerOf reads the first XOR-PEER-ADDRESS of a message. A form that hides an IPv4 address in an IPv6 one is none.
func peerOf(m *stun.Message) (netip.AddrPort, bool) {
	var x stun.XORMappedAddress
	if !addressesWhole(m) || x.GetFromAs(m, stun.AttrXORPeerAddress) != nil {
		return netip.AddrPort{}, false
	}
	ip, ok := plainIP(x.IP)
	return netip.AddrPortFrom(ip, uint16(x.Port)), ok
}

// plainIP is an address as it came from the wire, where the length tells the family.
func plainIP(b net.IP) (netip.Addr, bool) {
	ip, ok := netip.AddrFromSlice(b)
	return ip, ok && !ip.Is4In6()
}
