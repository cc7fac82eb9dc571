package mediaport

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"siaran/internal/testutil"
)

// keptRelay keeps everything that it is given.
type keptRelay struct {
	mu       sync.Mutex
	sent     []keptRun
	released []netip.AddrPort
}

type keptRun struct {
	datagrams [][]byte
	to        netip.AddrPort
}

func (r *keptRelay) Send(b []byte, size int, to netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var run [][]byte
	for len(b) > 0 {
		n := min(size, len(b))
		run = append(run, slices.Clone(b[:n]))
		b = b[n:]
	}
	r.sent = append(r.sent, keptRun{run, to})
}

func (r *keptRelay) Release(a netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released = append(r.released, a)
}

func (r *keptRelay) Relayed(a netip.AddrPort) netip.AddrPort {
	if a != relayedClient {
		return netip.AddrPort{}
	}
	return toldAddress
}

var (
	toldAddress   = netip.MustParseAddrPort("203.0.113.9:50000")
	relayedClient = netip.MustParseAddrPort("[100::1234]:1")
	otherClient   = netip.MustParseAddrPort("[100::5678]:1")
)

// One batch may have packets for both kinds of viewers in it; each kind gets its own, in order.
func TestBatchForRelayedAndDirect(t *testing.T) {
	s := openFor(t, "127.0.0.1:0", Options{})
	relay := new(keptRelay)
	s.Join(relay)
	c := newClient(t, s)
	direct, relayed := s.Path(c.address(), netip.Addr{}), s.Path(relayedClient, netip.Addr{})
	other := s.Path(otherClient, netip.Addr{})
	b := newBatch(s.ports[0], &s.relays, func(n int) { t.Errorf("%d lost", n) })
	for round := range 3 {
		for i, to := range []*Path{direct, relayed, relayed, relayed, direct, other, direct} {
			room := b.Room()[:100]
			copy(room, bytes.Repeat([]byte{byte(10*round + i)}, 100))
			b.Add(100, to)
		}
		b.Flush()
	}
	buf := make([]byte, MaxDatagram)
	for _, want := range []byte{0, 4, 6, 10, 14, 16, 20, 24, 26} {
		_ = c.conn.SetReadDeadline(time.Now().Add(testutil.Patience))
		if n, err := c.conn.Read(buf); err != nil || n != 100 || buf[0] != want {
			t.Fatalf("%d bytes of %d, want %d: %v", n, buf[0], want, err)
		}
	}
	var got, others []byte
	for _, run := range relay.sent {
		for _, d := range run.datagrams {
			switch {
			case len(d) != 100:
				t.Errorf("%d bytes", len(d))
			case run.to == relayedClient:
				got = append(got, d[0])
			default:
				others = append(others, d[0])
			}
		}
	}
	if !slices.Equal(got, []byte{1, 2, 3, 11, 12, 13, 21, 22, 23}) || !slices.Equal(others, []byte{5, 15, 25}) {
		t.Errorf("%v and %v", got, others)
	}
}

// Without a relay nothing is sent to addresses that only one could have given.
func TestNoRelay(t *testing.T) {
	s := openFor(t, "127.0.0.1:0", Options{})
	s.Receive([]byte{0x80, 96}, otherClient)
	if err := s.Send([]byte("x"), s.Path(relayedClient, netip.Addr{})); err != nil {
		t.Error(err)
	}
	b := newBatch(s.ports[0], &s.relays, func(int) {})
	b.Add(copy(b.Room()[:1], "x"), s.Path(relayedClient, netip.Addr{}))
	b.Flush()
	e := s.NewEndpoint("a", newSession())
	e.Open()
	c := e.Claim(relayedClient)
	c.Vouch(time.Now())
	e.Close(c)
	if s.Mapped(relayedClient) != relayedClient {
		t.Error("a client has a relayed address without a relay")
	}
	for address, want := range map[string]bool{
		"[100::1]:1": true, "[100:0:0:1::1]:1": false, "100.0.0.1:1": false, "[::ffff:100.0.0.1]:1": false,
		"[2001:db8::1]:1": false,
	} {
		if Relayed(netip.MustParseAddrPort(address)) != want {
			t.Error(address)
		}
	}
}

// A session that is reached through the relay answers there, and the relay is told when it has ended.
func TestSessionThroughRelay(t *testing.T) {
	s := openFor(t, "127.0.0.1:0", Options{})
	relay := new(keptRelay)
	s.Join(relay)
	session := newSession()
	e := s.NewEndpoint("a", session)
	e.Open()
	c := e.Claim(relayedClient)
	c.Vouch(time.Now())
	s.Receive([]byte{0x80, 96, 1, 2}, relayedClient)
	if d := session.next(t); d.text != "\x80\x60\x01\x02" || d.from != relayedClient {
		t.Fatalf("%+v", d)
	}
	if err := s.Send([]byte("report"), s.Path(relayedClient, netip.Addr{})); err != nil {
		t.Error(err)
	}
	if s.Mapped(relayedClient) != toldAddress || s.Mapped(otherClient) != otherClient {
		t.Error("a client is not known by its relayed address")
	}
	e.Close(c)
	if len(relay.sent) != 1 || string(relay.sent[0].datagrams[0]) != "report" || len(relay.released) != 1 {
		t.Errorf("%+v", relay)
	}
}
