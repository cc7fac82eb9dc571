package mediaport

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"siaran/internal/testutil"
)

func addrs(list string) []netip.Addr {
	var all []netip.Addr
	for _, text := range strings.Fields(list) {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestAddressOrder(t *testing.T) {
	for name, c := range map[string]struct{ have, routes, want string }{
		"loopback last": {
			"::1 127.0.0.1 2001:db8::5 192.168.1.2", "192.168.1.2",
			"192.168.1.2 2001:db8::5 127.0.0.1 ::1",
		},
		"the default route before other private ones": {
			"127.0.0.1 10.0.0.1 10.1.0.1 10.2.0.1", "10.1.0.1",
			"10.1.0.1 10.0.0.1 10.2.0.1 127.0.0.1",
		},
		"what all can reach before the default route": {
			"10.0.0.1 203.0.113.5", "10.0.0.1",
			"203.0.113.5 10.0.0.1",
		},
		"carriers' NAT after private": {
			"100.64.3.4 10.0.0.1 fd00::1 2001:db8::1", "100.64.3.4 fd00::1",
			"10.0.0.1 100.64.3.4 2001:db8::1 fd00::1",
		},
		"twice": {"10.0.0.1 10.0.0.1", "", "10.0.0.1"},
		"too many": {
			"127.0.0.1 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9", "10.0.0.9",
			"10.0.0.9 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 127.0.0.1",
		},
	} {
		if got := ordered(addrs(c.have), addrs(c.routes)...); !slices.Equal(got, addrs(c.want)) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

func TestPublicAddressesAreAnnouncedAlone(t *testing.T) {
	for said, told := range map[string]string{
		"203.0.113.7 2001:db8::7":             "203.0.113.7 2001:db8::7 127.0.0.1",
		"2001:db8::7 203.0.113.7 203.0.113.6": "203.0.113.7 203.0.113.6 2001:db8::7 127.0.0.1", // some clients take the first
		"127.0.0.1 203.0.113.7 203.0.113.7":   "127.0.0.1 203.0.113.7",
	} {
		s := openFor(t, "[::]:0", Options{Public: addrs(said)})
		port := s.addresses.local.Port()
		var want []netip.AddrPort
		for _, ip := range addrs(told) {
			want = append(want, netip.AddrPortFrom(ip, port))
		}
		if got := s.Addresses(); !slices.Equal(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	}
}

func TestInterfacesAreChosenByName(t *testing.T) {
	var asked []string
	s := openFor(t, "0.0.0.0:0", Options{Interfaces: func(name string) bool { asked = append(asked, name); return false }})
	for _, a := range s.Addresses() {
		if !a.Addr().IsLoopback() {
			t.Errorf("%s is announced", a)
		}
	}
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 && !slices.Contains(asked, i.Name) {
			t.Errorf("nothing asked about interface %s", i.Name)
		}
	}
}

// stunServer answers the second request that comes, after something else.
func stunServer(t *testing.T, answer func(*stun.Message) []stun.Setter) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for count := 0; ; {
			n, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			m := &stun.Message{Raw: buf[:n]}
			if m.Decode() != nil || m.Type != stun.BindingRequest {
				continue
			}
			if count++; count < 2 {
				continue
			}
			foreign := built(t)(stun.Build(stun.TransactionID, stun.BindingSuccess,
				&stun.XORMappedAddress{IP: net.IPv4(198, 51, 100, 66), Port: 66}))
			setters := append([]stun.Setter{stun.NewTransactionIDSetter(m.TransactionID)}, answer(m)...)
			for _, r := range []*stun.Message{foreign, built(t)(stun.Build(setters...))} {
				if _, err := conn.WriteToUDP(r.Raw, from); err != nil {
					return
				}
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestDiscover(t *testing.T) {
	server := stunServer(t, func(*stun.Message) []stun.Setter {
		mapped := &stun.XORMappedAddress{IP: net.IPv4(203, 0, 113, 7), Port: 4711}
		return []stun.Setter{stun.BindingSuccess, mapped, stun.Fingerprint}
	})
	s := openFor(t, "127.0.0.1:0", Options{})
	local := s.Addresses()[0]
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	defer cancel()
	want := netip.MustParseAddrPort("203.0.113.7:4711")
	if got, err := s.Discover(ctx, server); err != nil || got != want {
		t.Fatalf("%v %v", got, err)
	}
	if got := s.Addresses(); !slices.Equal(got, []netip.AddrPort{want, local}) {
		t.Errorf("%v are announced", got)
	}
}

func TestDiscoverFails(t *testing.T) {
	s := openFor(t, "127.0.0.1:0", Options{})
	refusing := stunServer(t, func(*stun.Message) []stun.Setter {
		return []stun.Setter{stun.NewType(stun.MethodBinding, stun.ClassErrorResponse), stun.CodeUnauthorized}
	})
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	defer cancel()
	if got, err := s.Discover(ctx, refusing); err == nil {
		t.Errorf("the server refused, but the result is %v", got)
	}
	silent := openFor(t, "127.0.0.1:0", Options{}).Addresses()[0]
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := s.Discover(short, silent); err == nil {
		t.Errorf("the server did not answer, but the result is %v", got)
	}
	if got := s.Addresses(); len(got) != 1 {
		t.Errorf("%v are announced", got)
	}
}

func FuzzDiscover(f *testing.F) {
	id := [stun.TransactionIDSize]byte{1, 2, 3}
	for _, setters := range [][]stun.Setter{
		{stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(203, 0, 113, 7), Port: 4711}},
		{stun.BindingSuccess, &stun.XORMappedAddress{IP: net.ParseIP("2001:db8::1"), Port: 1}, stun.Fingerprint},
		{stun.NewType(stun.MethodBinding, stun.ClassErrorResponse), stun.CodeUnauthorized},
		{stun.BindingRequest},
		{stun.BindingSuccess, stun.RawAttribute{Type: stun.AttrXORMappedAddress}}, // stun panics when it reads beyond
		{stun.BindingSuccess, stun.RawAttribute{Type: stun.AttrXORMappedAddress, Value: []byte{0, 1, 2, 3}}},
	} {
		f.Add(built(f)(stun.Build(append([]stun.Setter{stun.NewTransactionIDSetter(id)}, setters...)...)).Raw)
	}
	server := netip.MustParseAddrPort("198.51.100.1:3478")
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &discovery{server: server, id: id, answer: make(chan netip.AddrPort, 1)}
		if len(b) < MaxDatagram && d.take(b, server) {
			if found := <-d.answer; found.IsValid() && !usable(found.Addr()) {
				t.Errorf("found %s", found)
			}
		}
	})
}

// built checks what stun.Build returns.
func built(t testing.TB) func(*stun.Message, error) *stun.Message {
	return func(m *stun.Message, err error) *stun.Message {
		if err != nil {
			t.Error(err)
		}
		return m
	}
}
