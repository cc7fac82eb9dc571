package mediaport

import (
	"net/netip"
	"testing"
	"time"

	"siaran/internal/testutil"
)

// All of 127.0.0.0/8 are addresses of a Linux machine; the system by itself sends from 127.0.0.1.
var locals = []netip.Addr{netip.MustParseAddr("127.0.0.77"), netip.MustParseAddr("127.0.0.78")}

// wantFrom waits for a datagram from an address.
func (c *collector) wantFrom(from netip.Addr) {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
		c.t.Fatal(err)
	}
	_, got, err := c.conn.ReadFromUDPAddrPort(make([]byte, MaxDatagram))
	if err != nil || got.Addr().Unmap() != from {
		c.t.Fatalf("a datagram comes from %v, want %s; %v", got, from, err)
	}
}

// TestAnswersFromWhereItWasAsked: a handler is told which of our addresses was asked, and what is sent by a path from
// there leaves from there, alone and in batches.
func TestAnswersFromWhereItWasAsked(t *testing.T) {
	for name, options := range map[string]Options{"gso": {}, "sendmmsg": {NoGSO: true}, "shards": {Shards: 2}} {
		for _, address := range []string{":0", "0.0.0.0:0"} {
			t.Run(name+" "+address, func(t *testing.T) {
				s, c, session := openFor(t, address, options), newCollector(t, "127.0.0.1:0"), newSession()
				s.NewEndpoint("a", session).Open()
				for _, local := range locals {
					if _, err := c.conn.WriteToUDPAddrPort(checkFor(t, "a"), netip.AddrPortFrom(local, s.Port())); err != nil {
						t.Fatal(err)
					}
					d := wait(t, session.checks)
					if d.local != local || d.from != c.address() {
						t.Fatalf("%+v, want it to %s", d, local)
					}
					to := s.Path(d.from, d.local)
					b := s.NewBatch(0, func(n int) { t.Errorf("%d lost", n) })
					for _, size := range []int{1200, 1200, 700, 100} {
						b.Room()
						b.Add(size, to)
					}
					b.Flush()
					if err := s.Send([]byte{1}, to); err != nil {
						t.Error(err)
					}
					for range 5 {
						c.wantFrom(local)
					}
				}
			})
		}
	}
}

// TestAddressGoesAway: an address that the machine has lost is not sent from any more, and runs are still used.
func TestAddressGoesAway(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0"} {
		s := openFor(t, address, Options{})
		c := newCollector(t, "127.0.0.1:0")
		to := s.Path(c.address(), netip.MustParseAddr("198.51.100.9"))
		before := s.ports[0].segments()
		b := newBatch(s.ports[0], &s.relays, func(n int) { t.Errorf("%d lost", n) })
		for _, size := range []int{1200, 1200, 700, 100} {
			b.Room()
			b.Add(size, to)
		}
		b.Flush()
		s.Send([]byte{1}, to)
		for range 5 {
			c.wantFrom(netip.MustParseAddr("127.0.0.1"))
		}
		if after := s.ports[0].segments(); after != before {
			t.Errorf("runs are now of %d, were of %d", after, before)
		}
	}
}
