package ingest

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// releasingWire is a socket with a relay behind it.
type releasingWire struct {
	*wire
	released []netip.AddrPort
	sent     []string
}

func (w *releasingWire) Release(a netip.AddrPort) { w.released = append(w.released, a) }

func (w *releasingWire) WriteTo(b []byte, to net.Addr) (int, error) {
	w.sent = append(w.sent, to.String())
	return len(b), nil
}

// A broadcaster that comes through the relay has an IPv6 address, also where only IPv4 is announced.
func TestMuxTakesRelayedBroadcasters(t *testing.T) {
	w := &releasingWire{wire: newWire()}
	m := newMux(w, netip.MustParsePrefix("100::/64"), discard)
	t.Cleanup(m.close)
	s, err := m.session(local{ufrag: "cats", addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8189")}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	from, direct := udp("[100::1]:1"), udp("192.0.2.7:5000")
	m.dispatch(request(t, "cats"), from, now)
	m.dispatch(media(1), from, now)
	m.dispatch(request(t, "cats"), direct, now)
	if len(s.v6.queue) != 2 || len(s.v4.queue) != 1 {
		t.Errorf("%d and %d datagrams", len(s.v6.queue), len(s.v4.queue))
	}
	for _, to := range []*net.UDPAddr{from, udp("[2001:db8::5]:1")} { // the second is a candidate that cannot be reached from here
		if _, err := s.v6.WriteTo([]byte("x"), to); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(w.sent, []string{from.String()}) {
		t.Errorf("sent to %v", w.sent)
	}
	if list := s.GetListenAddresses(); len(list) != 2 {
		t.Errorf("%v", list)
	}
	m.leave(s)
	m.leave(s)
	if !slices.Equal(w.released, []netip.AddrPort{from.AddrPort()}) {
		t.Errorf("released %v", w.released)
	}
}
