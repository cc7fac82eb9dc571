package egress

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"
)

// checker is a viewer's ICE agent, controlling, on a UDP socket of its own.
type checker struct {
	t    *testing.T
	conn *net.UDPConn
	l    *link
}

func newChecker(t *testing.T, s *Socket, l *link) *checker {
	t.Helper()
	port := s.ports[0].local().Port()
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &checker{t, conn, l}
}

func (c *checker) address() netip.AddrPort { return c.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// check sends a binding request and returns the response; nil when none comes.
func (c *checker) check(password string, more ...stun.Setter) *stun.Message {
	c.t.Helper()
	setters := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(c.l.ufrag + ":" + c.l.remoteUfrag)}, more...)
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(password), stun.Fingerprint)...)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(m.Raw); err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, err := c.conn.Read(buf)
	if err != nil {
		return nil
	}
	r := &stun.Message{Raw: buf[:n]}
	if err := r.Decode(); err != nil {
		c.t.Fatal(err)
	}
	if r.TransactionID != m.TransactionID {
		c.t.Fatal("the response is to another request")
	}
	return r
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

func checkStage(t *testing.T) (*Socket, *link, *int) {
	t.Helper()
	s, err := Listen("127.0.0.1:0", SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l := newLink(s, "viewer")
	found := 0
	l.found = func() { found++ }
	s.register(l)
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

	// FFmpeg sends neither PRIORITY nor ICE-CONTROLLING (C23).
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
	if got := l.selected.Load().address; got != c.address() {
		t.Errorf("selected %v, want %v", got, c.address())
	}
	if !l.consented(time.Now()) || l.consented(time.Now().Add(consentTime+time.Second)) {
		t.Error("consent does not follow from the check, or does not end")
	}
	l.close()
	if r := c.check(l.pwd); r != nil {
		t.Errorf("a closed link answered %v", r)
	}
}

func TestAddressChange(t *testing.T) {
	s, l, found := checkStage(t)
	first, second := newChecker(t, s, l), newChecker(t, s, l)
	nominate := []stun.Setter{setAttribute(controlling), setAttribute(useCandidate)}
	if first.check(l.pwd, nominate...) == nil || second.check(l.pwd, setAttribute(controlling)) == nil {
		t.Fatal("no response")
	}
	if got := l.selected.Load().address; got != first.address() {
		t.Errorf("a check that nominates nothing moved the viewer to %v", got)
	}
	second.check(l.pwd, nominate...)
	if got := l.selected.Load().address; got != second.address() {
		t.Errorf("selected %v, want the nominated %v", got, second.address())
	}

	// Its old address falls silent, as behind a NAT that has forgotten it: it is followed without nomination.
	l.mu.Lock()
	for i := range l.sources {
		l.sources[i].seen = l.sources[i].seen.Add(-stalePath - time.Second)
	}
	l.mu.Unlock()
	third := newChecker(t, s, l)
	third.check(l.pwd, setAttribute(controlling))
	if got := l.selected.Load().address; got != third.address() {
		t.Errorf("selected %v, want %v", got, third.address())
	}
	if *found != 1 {
		t.Errorf("found %d times, want once", *found)
	}
	for range 3 * maxAddresses {
		newChecker(t, s, l).check(l.pwd, setAttribute(controlling))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(l.sources) > maxAddresses || len(s.byAddress) > maxAddresses {
		t.Errorf("%d addresses are kept, %d in the socket", len(l.sources), len(s.byAddress))
	}
	if s.byAddress[third.address()] != l {
		t.Error("the selected address was dropped")
	}
}

// What is no viewer's reaches the broadcasters' side as it is.
func TestRestReachesBroadcasters(t *testing.T) {
	for _, options := range []SocketOptions{{}, {Plain: true}, {Shards: 3}, {DSCP: 34, NoGSO: true}} {
		s, err := Listen("127.0.0.1:0", options)
		if err != nil {
			t.Fatal(err)
		}
		conn := s.BroadcasterConn()
		c := newChecker(t, s, newLink(s, "r"))
		if _, err := c.conn.Write([]byte{128, 1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, from, err := conn.ReadFrom(buf)
		if err != nil || n != 4 || from.(*net.UDPAddr).Port != int(c.address().Port()) {
			t.Fatalf("read %d from %v, %v", n, from, err)
		}
		if _, err := conn.WriteTo([]byte("back"), from); err != nil {
			t.Fatal(err)
		}
		if n, err := c.conn.Read(buf); err != nil || string(buf[:n]) != "back" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadFrom(buf); err == nil || !err.(net.Error).Timeout() {
			t.Errorf("past the deadline: %v", err)
		}
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadFrom(buf); err == nil {
			t.Error("read from a closed socket")
		}
	}
}

func TestBusyPort(t *testing.T) {
	for _, options := range []SocketOptions{{}, {Plain: true}, {Shards: 2}} {
		s, err := Listen(":0", options)
		if err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf(":%d", s.ports[0].local().Port())
		for _, second := range []SocketOptions{{}, {Plain: true}, {Shards: 2}} {
			if other, err := Listen(address, second); err == nil {
				t.Errorf("%+v on the port of %+v", second, options)
				other.Close()
			} else if !strings.Contains(err.Error(), "is in use") {
				t.Errorf("%+v: %v", second, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"nonsense", "127.0.0.1:99999", "host.invalid:1"} {
		if s, err := Listen(bad, SocketOptions{}); err == nil {
			t.Errorf("listened on %q", bad)
			s.Close()
		}
	}
}

// Runs of any sizes arrive as the datagrams they were made of, whatever the system can do.
func TestBatchesArriveAsTheyWere(t *testing.T) {
	for name, options := range map[string]SocketOptions{"gso": {}, "sendmmsg": {NoGSO: true}, "plain": {Plain: true}} {
		t.Run(name, func(t *testing.T) {
			s, err := Listen("127.0.0.1:0", options)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c := newChecker(t, s, newLink(s, "r"))
			if err := c.conn.SetReadBuffer(4 << 20); err != nil {
				t.Fatal(err)
			}
			to := s.path(c.address(), netip.Addr{})
			lost := 0
			b := newBatch(s.ports[0], &s.relays, func(n int) { lost += n })
			sizes := []int{1200, 1200, 1200, 700, 1200, 80, 80, 80, 81, 1, 1500, 1500, 1499}
			for range 70 {
				sizes = append(sizes, 1000)
			}
			for i, size := range sizes {
				room := b.room()
				room = room[:size]
				for j := range room {
					room[j] = byte(i)
				}
				b.add(size, to)
			}
			b.flush()
			if lost != 0 {
				t.Errorf("%d lost", lost)
			}
			buf := make([]byte, 70_000)
			for i, size := range sizes {
				if err := c.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err)
				}
				n, err := c.conn.Read(buf)
				if err != nil || n != size || buf[0] != byte(i) || buf[n-1] != byte(i) {
					t.Fatalf("datagram %d: %d bytes of %d, want %d bytes; %v", i, n, buf[0], size, err)
				}
			}
		})
	}
}
