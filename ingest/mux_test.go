package ingest

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun"
	"go.uber.org/goleak"
)

// wire is a socket whose datagrams the test puts in.
type wire struct {
	in   chan datagram
	mu   sync.Mutex
	dead chan struct{}
}

func newWire() *wire { return &wire{in: make(chan datagram), dead: make(chan struct{})} }

func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-w.in:
		return copy(b, d.buf[:d.n]), d.from, nil
	case <-w.dead:
		return 0, nil, net.ErrClosed
	}
}

func (w *wire) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }
func (w *wire) LocalAddr() net.Addr                       { return &net.UDPAddr{} }
func (w *wire) SetDeadline(time.Time) error               { return nil }
func (w *wire) SetWriteDeadline(time.Time) error          { return nil }
func (w *wire) Close() error                              { return w.SetReadDeadline(time.Now()) }

func (w *wire) SetReadDeadline(at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !at.IsZero() {
		select {
		case <-w.dead:
		default:
			close(w.dead)
		}
	}
	return nil
}

func testMux(t *testing.T) *mux {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	m := newMux(newWire(), netip.Prefix{}, discard)
	t.Cleanup(func() {
		m.close()
		goleak.VerifyNone(t, ignore)
	})
	return m
}

func join(t *testing.T, m *mux, name string) *muxSession {
	t.Helper()
	s, err := m.session(local{ufrag: name, addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8189"), netip.MustParseAddrPort("[2001:db8::1]:8189")}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func udp(s string) *net.UDPAddr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

func request(t testing.TB, ufrag string) []byte {
	t.Helper()
	return must(stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":theirs"), stun.Fingerprint)).Raw
}

func response(t testing.TB) []byte {
	t.Helper()
	return must(stun.Build(stun.TransactionID, stun.BindingSuccess, stun.Fingerprint)).Raw
}

// media is an RTP packet of an SSRC.
func media(ssrc byte) []byte { return []byte{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 1, ssrc} }

// queued takes what has come for a session.
func (s *muxSession) queued() int {
	n := 0
	for _, c := range []*muxConn{s.v4, s.v6} {
		for len(c.queue) > 0 {
			<-c.queue
			n++
		}
	}
	return n
}

func TestMuxKeepsSessionsApart(t *testing.T) {
	m := testMux(t)
	cats, dogs := join(t, m, "cats"), join(t, m, "dogs")
	now := time.Now()
	from := udp("198.51.100.1:5000")
	m.dispatch(media(1), from, now)
	m.dispatch(request(t, "nobody"), from, now)
	if n := cats.queued() + dogs.queued(); n != 0 {
		t.Fatalf("%d datagrams of an unknown address came through", n)
	}
	m.dispatch(request(t, "cats"), from, now)
	m.dispatch(media(1), from, now)
	if a, b := cats.queued(), dogs.queued(); a != 2 || b != 0 {
		t.Fatalf("cats got %d, dogs %d", a, b)
	}
	six := udp("[2001:db8::2]:5000")
	m.dispatch(request(t, "dogs"), six, now)
	m.dispatch(media(1), six, now)
	if len(dogs.v6.queue) != 2 {
		t.Errorf("dogs got %d by IPv6", len(dogs.v6.queue))
	}
	m.leave(cats)
	m.dispatch(media(1), from, now)
	m.dispatch(request(t, "cats"), from, now)
	if n := cats.queued(); n != 0 {
		t.Errorf("%d datagrams came after the session had left", n)
	}
}

// TestMuxCannotBeDiverted has a broadcaster name another's address among its candidates.
func TestMuxCannotBeDiverted(t *testing.T) {
	m := testMux(t)
	victim, thief := join(t, m, "victim"), join(t, m, "thief")
	now := time.Now()
	from := udp("198.51.100.1:5000")
	m.dispatch(request(t, "victim"), from, now)
	if _, err := thief.v4.WriteTo(request(t, "x"), from); err != nil { // a check of the named candidate
		t.Fatal(err)
	}
	m.dispatch(request(t, "thief"), from, now) // forged
	victim.queued()
	thief.queued()
	m.dispatch(media(1), from, now)
	if a, b := victim.queued(), thief.queued(); a != 1 || b != 0 {
		t.Fatalf("the victim got %d, the thief %d", a, b)
	}
	m.dispatch(response(t), from, now)
	if thief.queued() != 1 {
		t.Error("an answer to the thief's own check did not come")
	}
	// The same address may begin another session when the first is silent.
	later := now.Add(addressHold + time.Second)
	m.dispatch(request(t, "thief"), from, later)
	thief.queued()
	m.dispatch(media(1), from, later)
	if a, b := victim.queued(), thief.queued(); a != 0 || b != 1 {
		t.Errorf("later the first got %d, the second %d", a, b)
	}
}

func TestMuxBounds(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "cats")
	now := time.Now()
	from := udp("198.51.100.1:5000")
	m.dispatch(request(t, "cats"), from, now)
	s.queued()
	for ssrc := range 256 {
		m.dispatch(media(byte(ssrc)), from, now)
	}
	if n := s.queued(); n != maxSources {
		t.Errorf("packets of %d sources came through", n)
	}
	for range 3 * queueLength {
		m.dispatch(media(0), from, now)
	}
	if n := s.queued(); n != queueLength {
		t.Errorf("%d datagrams are queued", n)
	}
	refused := 0
	for port := range 200 {
		if _, err := s.v4.WriteTo([]byte{1}, &net.UDPAddr{IP: net.IPv4(198, 51, 100, 2), Port: 1000 + port}); err != nil {
			refused++
		}
	}
	for port := range 200 {
		m.dispatch(request(t, "cats"), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 3), Port: 1000 + port}, now)
	}
	if len(s.bound) > maxBound || refused == 0 {
		t.Errorf("%d addresses are bound", len(s.bound))
	}
	m.leave(s)
	if n := m.count(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	if _, err := s.v4.WriteTo([]byte{1}, from); err != io.ErrClosedPipe {
		t.Errorf("writing after the end: %v", err)
	}
	if _, _, err := s.v4.ReadFrom(make([]byte, 10)); err != io.EOF {
		t.Errorf("reading after the end: %v", err)
	}
}

func FuzzMux(f *testing.F) {
	f.Add(request(f, "cats"))
	f.Add(response(f))
	f.Add(media(3))
	f.Add([]byte{0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &mux{names: map[string]*muxSession{}, owners: map[netip.AddrPort]*owner{}, sentTo: map[netip.AddrPort][]*muxSession{}}
		s, err := m.session(local{ufrag: "cats", addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8189")}})
		if err != nil {
			t.Fatal(err)
		}
		if len(data) < maxDatagram {
			from := udp("198.51.100.1:5000")
			m.dispatch(data, from, time.Now())
			m.dispatch(request(t, "cats"), from, time.Now())
			m.dispatch(data, from, time.Now())
		}
		m.leave(s)
	})
}
