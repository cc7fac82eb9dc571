package egress

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun"
)

// All of 127.0.0.0/8 are addresses of a Linux machine; the system by itself sends from 127.0.0.1.
var locals = []netip.Addr{netip.MustParseAddr("127.0.0.77"), netip.MustParseAddr("127.0.0.78")}

type localClient struct {
	*checker
	port uint16
}

func localStage(t *testing.T, address string, options SocketOptions) (*Socket, *link, *localClient) {
	t.Helper()
	s := listenFor(t, address, options)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l := newLink(s, "viewer")
	l.found = func() {}
	s.register(l)
	return s, l, &localClient{&checker{t, conn, l}, s.Port()}
}

// ask sends a check to one of the addresses of the server and wants the answer to come from there.
func (c *localClient) ask(to netip.Addr, more ...stun.Setter) {
	c.t.Helper()
	setters := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(c.l.ufrag + ":" + c.l.remoteUfrag)}, more...)
	m := built(c.t)(stun.Build(append(setters, stun.NewShortTermIntegrity(c.l.pwd), stun.Fingerprint)...))
	if _, err := c.conn.WriteToUDPAddrPort(m.Raw, netip.AddrPortFrom(to, c.port)); err != nil {
		c.t.Fatal(err)
	}
	c.want(to)
}

// want waits for a datagram from an address.
func (c *localClient) want(from netip.Addr) []byte {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, got, err := c.conn.ReadFromUDPAddrPort(buf)
	if err != nil || got.Addr().Unmap() != from {
		c.t.Fatalf("it comes from %v, not %s; %v", got, from, err)
	}
	return buf[:n]
}

func TestSendsFromWhereItWasAsked(t *testing.T) {
	for name, options := range map[string]SocketOptions{"gso": {}, "sendmmsg": {NoGSO: true}, "shards": {Shards: 2}} {
		for _, address := range []string{":0", "0.0.0.0:0"} {
			t.Run(name+" "+address, func(t *testing.T) {
				s, l, c := localStage(t, address, options)
				send := func(from netip.Addr) {
					t.Helper()
					b := newBatch(s.ports[0], &s.relays, func(n int) { t.Errorf("%d lost", n) })
					for _, size := range []int{1200, 1200, 700, 100} {
						b.room()
						b.add(size, l.selected.Load())
					}
					b.flush()
					s.send([]byte{1}, l.selected.Load())
					for range 5 {
						c.want(from)
					}
				}
				c.ask(locals[0])
				send(locals[0])
				c.ask(locals[1]) // only tried
				send(locals[0])
				c.ask(locals[1], setAttribute(useCandidate))
				send(locals[1])
			})
		}
	}
}

func TestBroadcastersAreAnsweredFromWhereTheyAsked(t *testing.T) {
	s, _, c := localStage(t, ":0", SocketOptions{})
	m := built(t)(stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername("broadcaster:x"), stun.Fingerprint))
	for _, local := range locals {
		if _, err := c.conn.WriteToUDPAddrPort(m.Raw, netip.AddrPortFrom(local, c.port)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1500)
		n, from, err := s.BroadcasterConn().ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:n], m.Raw) {
			t.Fatal(n, err)
		}
		if _, err := s.BroadcasterConn().WriteTo([]byte("answer"), from); err != nil {
			t.Fatal(err)
		}
		c.want(local)
	}
}

// TestAddressGoesAway: what has left the machine is no address to send from, and no reason to send less well.
func TestAddressGoesAway(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0"} {
		s, _, c := localStage(t, address, SocketOptions{})
		to := s.path(c.address(), netip.MustParseAddr("198.51.100.9"))
		before := s.ports[0].segments()
		b := newBatch(s.ports[0], &s.relays, func(n int) { t.Errorf("%d lost", n) })
		for _, size := range []int{1200, 1200, 700, 100} {
			b.room()
			b.add(size, to)
		}
		b.flush()
		s.send([]byte{1}, to)
		for range 5 {
			c.want(netip.MustParseAddr("127.0.0.1"))
		}
		if after := s.ports[0].segments(); after != before {
			t.Errorf("runs are now of %d, were of %d", after, before)
		}
	}
}
