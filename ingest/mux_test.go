package ingest

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/stun"

	"siaran/internal/sdp"
	"siaran/internal/testutil"
)

func testMux(t testing.TB) *mux {
	t.Helper()
	port, err := mediaport.Open("127.0.0.1:0", mediaport.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := newMux(port)
	t.Cleanup(func() {
		m.close()
		port.Close()
	})
	return m
}

// dispatch puts a datagram into the media port. The only addresses that a test can send from at will are those of a
// relay's clients.
func (m *mux) dispatch(data []byte, from *net.UDPAddr) { m.port.Receive(data, from.AddrPort()) }

// silent makes a session one that was last heard from at an address longer ago than addresses are held.
func (s *muxSession) silent(at *net.UDPAddr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound[at.AddrPort()].claim.Hear(time.Now().Add(-2 * addressHold))
}

func join(t testing.TB, m *mux, name string) *muxSession {
	t.Helper()
	addresses := []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:8189"), netip.MustParseAddrPort("[2001:db8::1]:8189"),
	}
	l := local{ufrag: name, password: testPassword, addresses: addresses}
	s, err := m.session(l, new(sdp.Offer), func() {})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func udp(s string) *net.UDPAddr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

const testPassword = "the password of an answer"

func request(t testing.TB, ufrag string) []byte {
	t.Helper()
	return requestWith(t, ufrag, testPassword)
}

func requestWith(t testing.TB, ufrag, password string) []byte {
	t.Helper()
	return must(stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":theirs"),
		stun.NewShortTermIntegrity(password), stun.Fingerprint)).Raw
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
	from := udp("[100::1]:5000")
	m.dispatch(media(1), from)
	m.dispatch(request(t, "nobody"), from)
	if n := cats.queued() + dogs.queued(); n != 0 {
		t.Fatalf("%d datagrams of an unknown address came through", n)
	}
	m.dispatch(request(t, "cats"), from)
	m.dispatch(media(1), from)
	if a, b := cats.queued(), dogs.queued(); a != 2 || b != 0 {
		t.Fatalf("cats got %d, dogs %d", a, b)
	}
	dogs.HandleCheck(request(t, "dogs"), netip.MustParseAddrPort("198.51.100.1:5000"), netip.Addr{})
	m.dispatch(request(t, "dogs"), udp("[100::2]:5000"))
	if a, b := len(dogs.v4.queue), len(dogs.v6.queue); a != 1 || b != 1 {
		t.Errorf("dogs got %d by IPv4, %d by IPv6", a, b)
	}
	m.leave(cats)
	m.dispatch(media(1), from)
	m.dispatch(request(t, "cats"), from)
	if n := cats.queued(); n != 0 {
		t.Errorf("%d datagrams came after the session had left", n)
	}
}

// A broadcaster tries several of our addresses at once, of which it may reach one. Each check is answered from the one
// that it was sent to, however many have come meanwhile.
func TestAnswersLeaveFromTheAddressOfTheCheck(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "cats")
	from := netip.MustParseAddrPort("127.0.0.1:5000")
	ours := []netip.Addr{
		netip.MustParseAddr("127.0.0.5"), netip.MustParseAddr("127.0.0.6"), netip.MustParseAddr("127.0.0.1"),
	}
	for _, local := range ours {
		s.HandleCheck(request(t, "cats"), from, local)
	}
	b := make([]byte, maxDatagram)
	for _, local := range ours {
		if _, _, err := s.v4.ReadFrom(b); err != nil {
			t.Fatal(err)
		}
		if got := s.bound[from].path.Load().Local(); got != local {
			t.Errorf("the answer leaves from %s, the check was sent to %s", got, local)
		}
	}
}

// TestMuxCannotBeDiverted has a broadcaster name another's address among its candidates.
func TestMuxCannotBeDiverted(t *testing.T) {
	m := testMux(t)
	victim, thief := join(t, m, "victim"), join(t, m, "thief")
	from := udp("[100::1]:5000")
	m.dispatch(request(t, "victim"), from)
	check := request(t, "x")
	if _, err := thief.v6.WriteTo(check, from); err != nil { // of the named candidate
		t.Fatal(err)
	}
	m.dispatch(request(t, "thief"), from) // forged
	victim.queued()
	thief.queued()
	m.dispatch(media(1), from)
	if a, b := victim.queued(), thief.queued(); a != 1 || b != 0 {
		t.Fatalf("the victim got %d, the thief %d", a, b)
	}
	answer := must(stun.Build(stun.NewTransactionIDSetter([stun.TransactionIDSize]byte(check[8:20])), stun.BindingSuccess,
		stun.Fingerprint)).Raw
	for _, answer := range [][]byte{answer, answer, response(t)} { // captured the second time, then forged
		m.dispatch(answer, from)
	}
	if a, b := victim.queued(), thief.queued(); a != 0 || b != 1 {
		t.Errorf("of the answer to the thief's own check the victim got %d, the thief %d", a, b)
	}
	// Another session may use the same address when the first has been silent.
	victim.silent(from)
	m.dispatch(request(t, "thief"), from)
	thief.queued()
	m.dispatch(media(1), from)
	if a, b := victim.queued(), thief.queued(); a != 0 || b != 1 {
		t.Errorf("later the first got %d, the second %d", a, b)
	}
}

// TestAnswersAreBounded: what a session expects is bounded, and nothing of it is left at the end.
func TestAnswersAreBounded(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "cats")
	from := udp("[100::1]:5000")
	var checks [][]byte
	for range maxOpenChecks + 1 {
		checks = append(checks, request(t, "x"))
		if _, err := s.v6.WriteTo(checks[len(checks)-1], from); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(check []byte) int {
		m.dispatch(must(stun.Build(stun.NewTransactionIDSetter([stun.TransactionIDSize]byte(check[8:20])),
			stun.BindingSuccess, stun.Fingerprint)).Raw, from)
		return s.queued()
	}
	if answers(checks[0]) != 0 || answers(checks[1]) != 1 || answers(checks[len(checks)-1]) != 1 {
		t.Error("the answers to all checks but the oldest must come")
	}
	m.leave(s)
	if answers(checks[2]) != 0 {
		t.Error("an answer came after the session had left")
	}
}

func TestMuxBounds(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "cats")
	from := udp("[100::1]:5000")
	m.dispatch(request(t, "cats"), from)
	s.queued()
	for ssrc := range 256 {
		s.HandlePacket(media(byte(ssrc)), from.AddrPort(), netip.Addr{})
	}
	if n := s.queued(); n != maxSSRCs {
		t.Errorf("packets of %d sources came through", n)
	}
	for range 3 * queueLength {
		s.HandlePacket(media(0), from.AddrPort(), netip.Addr{})
	}
	if n := s.queued(); n != queueLength {
		t.Errorf("%d datagrams are queued", n)
	}
	s.HandlePacket(append(media(0), make([]byte, maxDatagram)...), from.AddrPort(), netip.Addr{})
	if s.queued() != 0 {
		t.Error("a datagram that was cut came through")
	}
	for port := range 200 {
		if _, err := s.v4.WriteTo([]byte{1}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 1000 + port}); err != nil {
			t.Fatal(err)
		}
	}
	for port := range 200 {
		m.dispatch(request(t, "cats"), udp(fmt.Sprintf("[100::3]:%d", 1000+port)))
	}
	if len(s.bound) != maxBound {
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

// TestBroadcastersAreAnsweredFromWhereTheyAsked: a machine may have several addresses.
func TestBroadcastersAreAnsweredFromWhereTheyAsked(t *testing.T) {
	port, err := mediaport.Open(":0", mediaport.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux tells which address was asked")
	}
	s := join(t, newMux(port), "cats")
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, maxDatagram)
	for _, host := range []string{"127.0.0.77", "127.0.0.78"} {
		asked := netip.AddrPortFrom(netip.MustParseAddr(host), port.Port())
		if _, err := conn.WriteToUDPAddrPort(request(t, "cats"), asked); err != nil {
			t.Fatal(err)
		}
		_, from, err := s.v4.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.v4.WriteTo([]byte("answer"), from); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
			t.Fatal(err)
		}
		if _, answered, err := conn.ReadFromUDPAddrPort(buf); err != nil || answered.Addr().Unmap() != asked.Addr() {
			t.Errorf("the answer comes from %v, want %v; %v", answered, asked, err)
		}
	}
	s.mux.leave(s)
}

func FuzzMux(f *testing.F) {
	f.Add(request(f, "cats"))
	f.Add(response(f))
	f.Add(media(3))
	f.Add([]byte{0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0xff, 0xff})
	port, err := mediaport.Open("127.0.0.1:0", mediaport.Options{Shards: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { port.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMux(port)
		s := join(t, m, "cats")
		from := udp("[100::1]:5000")
		m.dispatch(data, from)
		m.dispatch(request(t, "cats"), from)
		m.dispatch(data, from)
		m.leave(s)
		if n := port.Faults().Count(); n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}

// TestConnectsWhileDatagramsCome: pion says that the handshake has succeeded in a goroutine of its own, while the port
// hands over datagrams. The race detector finds what is not guarded.
func TestConnectsWhileDatagramsCome(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "ours")
	from := udp("[100::2]:5000")
	m.dispatch(request(t, "ours"), from)
	hello := make([]byte, 25) // a record with an empty message
	hello[0], hello[1], hello[2], hello[12], hello[13] = 22, 254, 253, 12, 1
	var wg sync.WaitGroup
	wg.Go(s.connects)
	wg.Go(func() {
		for range 100 {
			m.dispatch(hello, from)
		}
	})
	wg.Wait()
}
