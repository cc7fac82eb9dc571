package egress

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"siaran/internal/monotonic"
	"siaran/internal/testutil"
	"siaran/mediaport"

	"github.com/pion/stun/v3"
)

const viewerPassword = "the viewer's own password"

// proveAt makes an address one that a link may be sent to, as if it had answered.
func proveAt(l *link, address netip.AddrPort) *source {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	s := l.addSource(l.credentials, address, netip.Addr{})
	s.Prove(now)
	s.Hear(now)
	l.choose(s, now)
	return s
}

// checker is a viewer's ICE agent, controlling, on a UDP socket of its own. It answers when it is checked back.
type checker struct {
	t    *testing.T
	conn *net.UDPConn
	l    *link
	ice  *credentials
	mute bool // does not answer
}

func newChecker(t *testing.T, s *mediaport.Socket, l *link) *checker {
	t.Helper()
	port := s.Port()
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &checker{t: t, conn: conn, l: l, ice: l.current()}
}

func (c *checker) address() netip.AddrPort { return c.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// check sends a binding request and returns the response.
func (c *checker) check(password string, more ...stun.Setter) *stun.Message {
	c.t.Helper()
	return c.checkWithin(testutil.Patience, password, more...)
}

// ignored sends a binding request to which no response is to come.
func (c *checker) ignored(password string, more ...stun.Setter) {
	c.t.Helper()
	if r := c.checkWithin(200*time.Millisecond, password, more...); r != nil {
		c.t.Errorf("an answer: %v", r)
	}
}

func (c *checker) checkWithin(limit time.Duration, password string, more ...stun.Setter) *stun.Message {
	c.t.Helper()
	setters := append([]stun.Setter{
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(c.ice.ufrag + ":" + c.ice.remoteUfrag),
	}, more...)
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(password), stun.Fingerprint)...)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(m.Raw); err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		c.t.Fatal(err)
	}
	for {
		buf := make([]byte, 1500)
		n, err := c.conn.Read(buf)
		if err != nil {
			return nil
		}
		r := &stun.Message{Raw: buf[:n]}
		if err := r.Decode(); err != nil {
			c.t.Fatal(err)
		}
		switch {
		case r.Type == stun.BindingRequest:
			c.answer(r)
		case r.TransactionID == m.TransactionID:
			return r
		default:
			c.t.Fatal("the response is to another request")
		}
	}
}

// answer answers a question of the server, unless the checker is mute.
func (c *checker) answer(question *stun.Message) {
	c.t.Helper()
	if c.mute {
		return
	}
	if _, err := c.conn.Write(answerTo(c.t, question, c.ice.remotePwd).Raw); err != nil {
		c.t.Fatal(err)
	}
}

func answerTo(t testing.TB, question *stun.Message, password string) *stun.Message {
	t.Helper()
	m, err := stun.Build(stun.NewTransactionIDSetter(question.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 9}, stun.NewShortTermIntegrity(password), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// selects waits until the link sends to an address.
func (c *checker) selects(want netip.AddrPort) {
	c.t.Helper()
	testutil.Eventually(c.t,

		"selected "+want.String(), func() bool {
			s := c.l.selected.Load()
			return s != nil && s.path.Address() == want
		})

}

var (
	controlling  = stun.RawAttribute{Type: stun.AttrICEControlling, Length: 8, Value: make([]byte, 8)}
	controlled   = stun.RawAttribute{Type: stun.AttrICEControlled, Length: 8, Value: make([]byte, 8)}
	useCandidate = stun.RawAttribute{Type: stun.AttrUseCandidate}
)

func setAttribute(a stun.RawAttribute) stun.Setter {
	return setter(func(m *stun.Message) error { m.Add(a.Type, a.Value); return nil })
}

type setter func(*stun.Message) error

func (f setter) AddTo(m *stun.Message) error { return f(m) }

func checkStage(t *testing.T) (*mediaport.Socket, *link, *int) {
	t.Helper()
	s, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l := testLink(s, "viewer", viewerPassword)
	found := 0
	ownerOf(l).onFirstCheck = func() { found++ }
	l.endpoint.Open()
	return s, l, &found
}

func TestChecks(t *testing.T) {
	s, l, _ := checkStage(t)
	c := newChecker(t, s, l)

	if r := c.check("wrong"); r == nil || r.Type.Class != stun.ClassErrorResponse {
		t.Errorf("a wrong password was answered with %v", r)
	}
	if r := c.check(l.pwd, setAttribute(controlled)); r == nil || r.Type.Class != stun.ClassErrorResponse {
		t.Errorf("a controlled agent was answered with %v", r)
	} else {
		var code stun.ErrorCodeAttribute
		if err := code.GetFrom(r); err != nil || code.Code != stun.CodeRoleConflict {
			t.Errorf("code %v, %v; want 487", code, err)
		}
	}
	if l.selected.Load() != nil {
		t.Fatal("an address was taken from a check that was refused")
	}

	// FFmpeg sends neither PRIORITY nor ICE-CONTROLLING.
	r := c.check(l.pwd, setAttribute(useCandidate))
	if r == nil || r.Type != stun.BindingSuccess {
		t.Fatalf("a right check was answered with %v", r)
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(r); err != nil || mapped.Port != int(c.address().Port()) {
		t.Errorf("mapped address %v, %v; want %v", mapped, err, c.address())
	}
	if err := l.integrity.Check(r); err != nil {
		t.Errorf("the response's integrity: %v", err)
	}
	if err := stun.Fingerprint.Check(r); err != nil {
		t.Errorf("the response's fingerprint: %v", err)
	}
	c.selects(c.address())
	if !l.consented(time.Now()) || l.consented(time.Now().Add(consentTime+time.Second)) {
		t.Error("consent does not follow from the check, or does not end")
	}
	l.close()
	c.ignored(l.pwd)
}

func TestAddressChange(t *testing.T) {
	s, l, found := checkStage(t)
	first, second := newChecker(t, s, l), newChecker(t, s, l)
	nominate := []stun.Setter{setAttribute(controlling), setAttribute(useCandidate)}
	first.check(l.pwd, nominate...)
	first.selects(first.address())
	l.spoke.Store(monotonic.Nanos(time.Now().Add(time.Hour))) // however long this takes
	second.check(l.pwd, setAttribute(controlling))
	second.check(l.pwd, nominate...)
	second.proves()
	if got := l.selected.Load().path.Address(); got != first.address() {
		t.Errorf("the viewer speaks by %v, and was moved to %v", first.address(), got)
	}
	l.spoke.Store(monotonic.Nanos(time.Now().Add(-quietPath - time.Second)))
	second.check(l.pwd, nominate...)
	second.selects(second.address())

	// Its own reports come by another path than the selected one.
	l.speaks(first.source(), time.Now())
	first.selects(first.address())

	// Its old address falls silent, as behind a NAT that has forgotten it: the link follows it without a nomination.
	l.mu.Lock()
	for _, src := range l.sources {
		src.Hear(time.Now().Add(-stalePath - time.Second))
	}
	l.mu.Unlock()
	third := newChecker(t, s, l)
	third.check(l.pwd, setAttribute(controlling))
	third.selects(third.address())
	if *found != 1 {
		t.Errorf("found %d times, want once", *found)
	}
	for range 3 * maxSources {
		newChecker(t, s, l).check(l.pwd, setAttribute(controlling))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sources) > maxSources {
		t.Errorf("%d addresses are kept", len(l.sources))
	}
	if l.find(l.credentials, third.address(), netip.Addr{}) == nil {
		t.Error("the selected address was dropped")
	}
}

// source is what the link knows of the checker; nil when it knows nothing.
func (c *checker) source() *source {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.l.find(c.ice, c.address(), netip.Addr{})
}

// proves waits until the checker's answers have proven its address.
func (c *checker) proves() {
	c.t.Helper()
	testutil.Eventually(c.t, "proven", func() bool { s := c.source(); return s != nil && s.Proven() })
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 3, 'a', ':', 'b', 0})
	s, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	l := testLink(s, "b", "p")
	l.ufrag = "a"
	l.endpoint = s.NewEndpoint("a", l)
	ownerOf(l).onFirstCheck = func() { f.Error("a check without the password was taken") }
	l.endpoint.Open()
	from := netip.MustParseAddrPort("127.0.0.1:9")
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 {
			l.HandleCheck(b, from, netip.Addr{})
		}
		if l.selected.Load() != nil {
			t.Error("a check without the password was taken")
		}
	})
}
