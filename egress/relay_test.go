package egress

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun"
)

// keptRelay keeps what it gets.
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

func check(t *testing.T, l *link) []byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(l.ufrag+":"+l.remoteUfrag),
		setAttribute(controlling), setAttribute(useCandidate), stun.NewShortTermIntegrity(l.pwd), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func TestRelayedClient(t *testing.T) {
	s, l, found := checkStage(t)
	relay := new(keptRelay)
	s.Join(relay)
	s.Receive(check(t, l), netip.MustParseAddrPort("192.0.2.1:5000")) // not from where a relay's clients are
	s.Receive(nil, relayedClient)
	s.Receive(make([]byte, maxDatagram+1), relayedClient)
	if *found != 0 || len(relay.sent) != 0 {
		t.Fatal("something is taken that is no client's")
	}
	s.Receive(check(t, l), relayedClient)
	if *found != 1 || len(relay.sent) != 1 || relay.sent[0].to != relayedClient {
		t.Fatalf("%d found, %+v", *found, relay.sent)
	}
	answer := &stun.Message{Raw: relay.sent[0].datagrams[0]}
	if err := answer.Decode(); err != nil || answer.Type != stun.BindingSuccess {
		t.Fatalf("%v: %v", answer, err)
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(answer); err != nil || mapped.String() != toldAddress.String() {
		t.Errorf("the client is told to be %s: %v", mapped, err) // a browser would not know its own candidate by another
	}
	reports := 0
	l.rtcp = func([]byte) { reports++ }
	s.Receive([]byte{0x80, 201, 0, 0}, relayedClient)
	s.Receive([]byte{0x80, 201, 0, 0}, otherClient) // somebody else's
	if reports != 1 {
		t.Errorf("%d reports", reports)
	}
	if n := len(s.rest.queue); n != 1 {
		t.Errorf("%d datagrams for broadcasters", n)
	}
	if to := l.selected.Load(); !to.relayed || to.address != relayedClient {
		t.Errorf("%+v", to)
	}
	l.close()
	if !slices.Equal(relay.released, []netip.AddrPort{relayedClient}) {
		t.Errorf("released %v", relay.released)
	}
}

// One batch may have packets for both kinds of viewers in it; each kind gets its own, in order.
func TestBatchForRelayedAndDirect(t *testing.T) {
	s, l, _ := checkStage(t)
	relay := new(keptRelay)
	s.Join(relay)
	c := newChecker(t, s, l)
	direct, relayed, other := s.path(c.address(), netip.Addr{}), s.path(relayedClient, netip.Addr{}), s.path(otherClient, netip.Addr{})
	b := newBatch(s.ports[0], &s.relays, func(n int) { t.Errorf("%d lost", n) })
	for round := range 3 {
		for i, to := range []*path{direct, relayed, relayed, relayed, direct, other, direct} {
			room := b.room()[:100]
			copy(room, bytes.Repeat([]byte{byte(10*round + i)}, 100))
			b.add(100, to)
		}
		b.flush()
	}
	buf := make([]byte, maxDatagram)
	for _, want := range []byte{0, 4, 6, 10, 14, 16, 20, 24, 26} {
		_ = c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
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
	s, l, _ := checkStage(t)
	s.Receive(check(t, l), relayedClient) // it may come before the relay has joined
	s.Receive([]byte{0x80, 96}, otherClient)
	s.send([]byte("x"), s.path(relayedClient, netip.Addr{}))
	b := newBatch(s.ports[0], &s.relays, func(int) {})
	b.add(copy(b.room()[:1], "x"), s.path(relayedClient, netip.Addr{}))
	b.flush()
	s.rest.Release(relayedClient)
	for address, want := range map[string]bool{"[100::1]:1": true, "[100:0:0:1::1]:1": false, "100.0.0.1:1": false, "[::ffff:100.0.0.1]:1": false, "[2001:db8::1]:1": false} {
		if Relayed(netip.MustParseAddrPort(address)) != want {
			t.Error(address)
		}
	}
}

func TestBroadcasterThroughRelay(t *testing.T) {
	s, _, _ := checkStage(t)
	relay := new(keptRelay)
	s.Join(relay)
	conn := s.BroadcasterConn()
	s.Receive([]byte{0x80, 96, 1, 2}, relayedClient)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 100)
	n, from, err := conn.ReadFrom(buf)
	if err != nil || n != 4 || from.String() != relayedClient.String() {
		t.Fatalf("%d bytes from %v: %v", n, from, err)
	}
	if _, err := conn.WriteTo([]byte("report"), from); err != nil {
		t.Fatal(err)
	}
	conn.(interface{ Release(netip.AddrPort) }).Release(relayedClient)
	if len(relay.sent) != 1 || string(relay.sent[0].datagrams[0]) != "report" || len(relay.released) != 1 {
		t.Errorf("%+v", relay)
	}
}

func TestOtherPort(t *testing.T) {
	type datagram struct {
		text  string
		from  netip.AddrPort
		local netip.Addr
	}
	for _, host := range []string{"127.0.0.1:0", ":0"} {
		got := make(chan datagram, 100)
		p, err := ListenOther(host, func(b []byte, from netip.AddrPort, local netip.Addr) { got <- datagram{string(b), from, local} })
		if err != nil {
			t.Fatal(err)
		}
		client, err := ListenOther("127.0.0.1:0", func(b []byte, from netip.AddrPort, local netip.Addr) { got <- datagram{string(b), from, local} })
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
	if _, err := ListenOther("nonsense", nil); err == nil {
		t.Error("listens on nonsense")
	}
}
