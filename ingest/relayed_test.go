package ingest

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/stun"

	"siaran/internal/sdp"
)

// testRelay is a relay that keeps what it gets, and has told one client its address.
type testRelay struct {
	client, relayed netip.AddrPort
	released        []netip.AddrPort
	sent            []string
	last            []byte
}

func (r *testRelay) Send(b []byte, _ int, to netip.AddrPort) {
	r.sent, r.last = append(r.sent, to.String()), bytes.Clone(b)
}

func (r *testRelay) Release(a netip.AddrPort) { r.released = append(r.released, a) }

func (r *testRelay) Relayed(a netip.AddrPort) netip.AddrPort {
	if a == r.client {
		return r.relayed
	}
	return netip.AddrPort{}
}

// A broadcaster that comes through the relay has an IPv6 address, also where only IPv4 is announced.
func TestMuxTakesRelayedBroadcasters(t *testing.T) {
	m, relay := testMux(t), new(testRelay)
	m.port.Join(relay)
	l := local{
		ufrag: "cats", password: testPassword, addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8189")},
	}
	s, err := m.session(l, new(sdp.Offer), func() {})
	if err != nil {
		t.Fatal(err)
	}
	from := udp("[100::1]:1")
	m.dispatch(request(t, "cats"), from)
	m.dispatch(media(1), from)
	s.HandleCheck(request(t, "cats"), netip.MustParseAddrPort("192.0.2.7:5000"), netip.Addr{})
	if len(s.v6.queue) != 2 || len(s.v4.queue) != 1 {
		t.Errorf("%d and %d datagrams", len(s.v6.queue), len(s.v4.queue))
	}
	for _, to := range []*net.UDPAddr{from, udp("[2001:db8::5]:1")} { // the second is a candidate that cannot be reached
		if _, err := s.v6.WriteTo([]byte("x"), to); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(relay.sent, []string{from.String()}) || len(s.bound) != 2 {
		t.Errorf("sent to %v, %d addresses are bound", relay.sent, len(s.bound))
	}
	if list := s.GetListenAddresses(); len(list) != 2 {
		t.Errorf("%v", list)
	}
	m.leave(s)
	m.leave(s)
	if !slices.Equal(relay.released, []netip.AddrPort{from.AddrPort()}) {
		t.Errorf("released %v", relay.released)
	}
}

// TestRelayedBroadcasterIsToldItsRelayedAddress: libnice with relays alone takes only an answer that names a candidate
// of its own.
func TestRelayedBroadcasterIsToldItsRelayedAddress(t *testing.T) {
	client, stranger := udp("[100::1]:1"), udp("[100::2]:1")
	m, relay := testMux(t), &testRelay{client: client.AddrPort(), relayed: netip.MustParseAddrPort("192.0.2.9:50000")}
	m.port.Join(relay)
	s := join(t, m, "cats")
	integrity := stun.NewShortTermIntegrity(s.first.password)
	named := func(c *muxConn, to *net.UDPAddr, class stun.MessageType) string {
		t.Helper()
		a := to.AddrPort()
		known := &stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}
		sent := stun.MustBuild(stun.TransactionID, class, known, integrity, stun.Fingerprint)
		if _, err := c.WriteTo(sent.Raw, to); err != nil {
			t.Fatal(err)
		}
		got := &stun.Message{Raw: relay.last}
		var mapped stun.XORMappedAddress
		if err := got.Decode(); err != nil || got.TransactionID != sent.TransactionID || got.Type != class {
			t.Fatalf("%v, %v", got, err)
		}
		if err := errors.Join(mapped.GetFrom(got), integrity.Check(got), stun.Fingerprint.Check(got)); err != nil {
			t.Fatal(err)
		}
		return mapped.String()
	}
	for _, test := range []struct {
		conn  *muxConn
		to    *net.UDPAddr
		class stun.MessageType
		want  string
	}{
		{s.v6, client, stun.BindingSuccess, relay.relayed.String()},
		{s.v6, stranger, stun.BindingSuccess, stranger.String()},
		{s.v6, client, stun.BindingRequest, client.String()},
	} {
		if got := named(test.conn, test.to, test.class); got != test.want {
			t.Errorf("%v to %v names %s, want %s", test.class, test.to, got, test.want)
		}
	}
	if _, err := s.v6.WriteTo([]byte{0x80, 200, 1}, client); err != nil || len(relay.last) != 3 {
		t.Errorf("%x", relay.last)
	}
	m.dispatch(request(t, "cats"), client)
	m.dispatch(media(1), client)
	if s.network() != "relayed" {
		t.Errorf("media came over %s", s.network())
	}
	direct := netip.MustParseAddrPort("192.0.2.7:5000")
	s.HandleCheck(request(t, "cats"), direct, netip.Addr{})
	s.HandlePacket(media(1), direct, netip.Addr{})
	if s.network() != "udp" {
		t.Errorf("media came over %s", s.network())
	}
}
