package mediaport

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestPort(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", ":0"} {
		got := make(chan datagram, 100)
		handle := func(b []byte, from netip.AddrPort, local netip.Addr) { got <- datagram{string(b), from, local} }
		p, err := Listen(host, handle)
		if err != nil {
			t.Fatal(err)
		}
		client, err := Listen("127.0.0.1:0", handle)
		if err != nil {
			t.Fatal(err)
		}
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), p.Address().Port())
		if lost := client.Sender(to, netip.Addr{})([]byte("hello"), 5); lost != 0 {
			t.Errorf("%d lost", lost)
		}
		d := <-got
		if d.text != "hello" || d.from != client.Address() || d.local.IsValid() && d.local != to.Addr() {
			t.Errorf("%+v", d)
		}
		run := bytes.Repeat([]byte("abcd"), 75) // more than one message can take
		if lost := p.Sender(d.from, d.local)(run[:298], 4); lost != 0 {
			t.Errorf("%d lost", lost)
		}
		for i := range 75 {
			want := "abcd"
			if i == 74 {
				want = "ab"
			}
			if d := <-got; d.text != want || d.from != to {
				t.Fatalf("%d: %+v", i, d)
			}
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Listen("nonsense", nil); err == nil {
		t.Error("Listen accepts an address that is none")
	}
}
