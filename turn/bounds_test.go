package turn

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran/internal/testutil"

	"github.com/pion/stun"
)

func TestQuotas(t *testing.T) {
	for name, test := range map[string]struct {
		limits Limits
		want   stun.ErrorCode
	}{
		"of a credential": {Limits{PerCredential: 3}, stun.CodeAllocQuotaReached},
		"of a source":     {Limits{PerSource: 3}, stun.CodeAllocQuotaReached},
		"of all":          {Limits{Allocations: 3}, stun.CodeInsufficientCapacity},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(c *Config) { c.Limits = test.limits })
			var last *raw
			for i := range 3 {
				user, password := s.Credential("a", time.Duration(i+1)*time.Hour) // one id, several user names
				last = s.raw([]string{"udp", "tcp", "tls"}[i], user, password)
				last.allocate()
			}
			user, password := s.Credential("a", time.Hour)
			over := s.raw("udp", user, password)
			if c := code(over.ask(stun.MethodAllocate, transportUDP)); c != test.want {
				t.Errorf("one too many: %d", c)
			}
			if c := code(last.ask(stun.MethodRefresh, attribute(stun.AttrLifetime, 0, 0, 0, 0))); c != 0 {
				t.Fatalf("refresh: %d", c)
			}
			over.allocate()
		})
	}
}

// TestQuotaOfANetwork: many addresses of one network get no more than the network may have, and others do not miss it.
func TestQuotaOfANetwork(t *testing.T) {
	s := open(t, func(c *Config) {
		c.UDP, c.TCP = "0.0.0.0:0", "0.0.0.0:0"
		c.Limits.PerSource, c.Limits.ConnectionsPerSource = 2, 2 // so four of a network
	})
	udp, tcp, _ := s.Addresses()
	user, password := s.Credential("a", time.Hour)
	from := func(ip string) *raw {
		conn, err := net.ListenPacket("udp4", ip+":0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(udp.Port())}
		return &raw{t: t, conn: conn, to: to, user: user, password: password}
	}
	var first *raw
	for i, test := range []struct {
		ip   string
		want stun.ErrorCode
	}{
		{"127.0.7.1", 0}, {"127.0.7.1", 0}, {"127.0.7.1", 486}, {"127.0.7.2", 0},
		{"127.0.7.3", 0}, {"127.0.7.4", 486}, {"127.0.7.2", 486},
		{"127.0.8.4", 0}, {"127.0.8.4", 0}, {"127.0.8.5", 0},
	} {
		r := from(test.ip)
		if c := code(r.ask(stun.MethodAllocate, transportUDP)); c != test.want {
			t.Errorf("%d, %s: %d, want %d", i, test.ip, c, test.want)
		}
		if first == nil {
			first = r
		}
	}
	if c := code(first.ask(stun.MethodRefresh, attribute(stun.AttrLifetime, 0, 0, 0, 0))); c != 0 {
		t.Fatalf("refresh: %d", c)
	}
	from("127.0.7.4").allocate()

	for i := range 10 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 7, byte(i+1))}}
		conn, err := d.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), tcp.Port()).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	testutil.Eventually(t, "six connections are refused", func() bool {
		st := s.Stats()
		return st.Connections == 4 && st.Refused.Connection == 6
	})
}

// The log tells the operator of the refusals, but not one by one.
func TestRefusalsAreTold(t *testing.T) {
	var log lockedLog
	s := open(t, func(c *Config) {
		c.Limits.PerCredential = 1
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	user, password := s.Credential("a", time.Hour)
	s.raw("udp", user, password).allocate()
	for range 3 {
		if c := code(s.raw("udp", user, password).ask(stun.MethodAllocate, transportUDP)); c != stun.CodeAllocQuotaReached {
			t.Fatal(c)
		}
	}
	testutil.Eventually(t, "the log says so", func() bool {
		return strings.Contains(log.String(), "TURN limits refused clients")
	})
	if text := log.String(); strings.Count(text, "\n") != 1 || strings.Contains(text, user) {
		t.Error(text)
	}
}

type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestThousandAllocations(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.RequestBurst = 10_000 })
	const clients = 1000
	list := make([]*raw, clients)
	var wg sync.WaitGroup
	work := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range work {
				if c := code(list[i].ask(stun.MethodAllocate, transportUDP)); c != 0 {
					t.Errorf("client %d: %d", i, c)
				} else if c := list[i].bind(0x4000, media); c != 0 {
					t.Errorf("client %d: channel: %d", i, c)
				}
			}
		})
	}
	for i := range clients {
		user, password := s.Credential(fmt.Sprint("client", i%100), time.Hour)
		list[i] = s.raw("udp", user, password)
		work <- i
	}
	close(work)
	wg.Wait()
	if st := s.Stats(); st.Allocations != clients || st.Allocated != clients {
		t.Fatalf("%d allocations, %d made", st.Allocations, st.Allocated)
	}
	for i := 0; i < clients; i += 100 {
		list[i].write(appendChannelData(nil, 0x4000, []byte{byte(i), 1}, false))
		if from, data := list[i].next(); from != "0x4000" || data != string([]byte{byte(i), 1}) {
			t.Errorf("client %d: %q from %q", i, data, from)
		}
	}
	for _, r := range list {
		if c := code(r.ask(stun.MethodRefresh, attribute(stun.AttrLifetime, 0, 0, 0, 0))); c != 0 {
			t.Fatalf("refresh: %d", c)
		}
	}
	if n := s.Stats().Allocations; n != 0 {
		t.Errorf("%d allocations are left", n)
	}
}

func TestUnusedAllocationIsClosed(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s := open(t, func(c *Config) {
				c.Deliver = func([]byte, netip.AddrPort) {} // no session answers
			})
			user, password := s.Credential("a", time.Hour)
			r := s.raw(transport, user, password)
			r.allocate()
			r.bind(0x4000, media)
			s.pass(50 * time.Second)
			r.write(appendChannelData(nil, 0x4000, []byte("is anybody there?"), true))
			s.pass(11 * time.Second)
			testutil.Eventually(t, "it is closed", func() bool { return s.Stats().Allocations == 0 })
			if s.Stats().Closed.Unused != 1 {
				t.Errorf("%+v", s.Stats().Closed)
			}
			if transport == "tcp" {
				testutil.Eventually(t, "the connection is closed", func() bool { return s.Stats().Connections == 0 })
			}
		})
	}
}

func TestReleased(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			s := open(t)
			user, password := s.Credential("a", time.Hour)
			r := s.raw(transport, user, password)
			r.allocate()
			r.bind(0x4000, media)
			r.write(appendChannelData(nil, 0x4000, []byte("x"), true))
			r.next()
			s.mu.Lock()
			client := s.got[0].from
			s.mu.Unlock()
			s.Send([]byte("goodbye"), 7, client)
			s.Release(client)
			s.Send([]byte("too late"), 8, client)
			s.Release(client)
			if s.Stats().Allocations != 0 || s.Stats().Closed.Released != 1 {
				t.Errorf("%+v", s.Stats())
			}
			if _, data := r.next(); data != "goodbye" { // what was on the way still arrives
				t.Errorf("%q", data)
			}
			if transport != "udp" {
				if _, err := io.ReadAll(r.conn.(framed).read); err != nil && transport == "tcp" {
					t.Errorf("the connection is not closed well: %v", err)
				}
			}
		})
	}
}

func TestConnections(t *testing.T) {
	t.Run("caps", func(t *testing.T) {
		for _, limits := range []Limits{{Connections: 3}, {ConnectionsPerSource: 3}} {
			s := open(t, func(c *Config) { c.Limits = limits })
			_, tcp, _ := s.Addresses()
			for range 5 {
				conn, err := net.Dial("tcp", tcp.String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			testutil.Eventually(t, "two are refused", func() bool {
				st := s.Stats()
				return st.Connections == 3 && st.Refused.Connection == 2
			})
		}
	})
	t.Run("that do nothing", func(t *testing.T) {
		s := open(t)
		_, tcp, secure := s.Addresses()
		for _, to := range []netip.AddrPort{tcp, secure, tcp, secure} { // those to TLS not even shake hands
			conn, err := net.Dial("tcp", to.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		stays := s.allocated("tcp", "a")
		testutil.Eventually(t, "all are there", func() bool { return s.Stats().Connections == 5 })
		s.pass(16 * time.Second)
		testutil.Eventually(t, "they are closed", func() bool { return s.Stats().Closed.Idle == 4 })
		if !echoes(t, stays, media, "hello") {
			t.Error("one with an allocation is closed too")
		}
	})
	t.Run("that fall silent", func(t *testing.T) {
		s := open(t, func(c *Config) { c.Limits.Unused = time.Hour })
		s.allocated("tls", "a")
		s.pass(5*time.Minute + time.Second)
		testutil.Eventually(t, "it is closed", func() bool {
			st := s.Stats()
			return st.Closed.Idle == 1 && st.Allocations == 0 && st.Connections == 0
		})
	})
	t.Run("that break off", func(t *testing.T) {
		s := open(t)
		for _, transport := range []string{"tcp", "tls"} {
			user, password := s.Credential("a", time.Hour)
			r := s.raw(transport, user, password)
			r.allocate()
			r.conn.Close()
		}
		testutil.Eventually(t, "nothing is left", func() bool {
			st := s.Stats()
			return st.Allocations == 0 && st.Connections == 0
		})
	})
}

// A client that does not read loses what is sent to it, and no other client loses anything.
func TestSlowReader(t *testing.T) {
	for _, transport := range []string{"tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			s := open(t, func(c *Config) { c.Limits = Limits{Queue: 64 << 10, Rate: 1 << 30, Stalled: time.Hour} })
			user, password := s.Credential("slow", time.Hour)
			slow := s.raw(transport, user, password)
			slow.allocate()
			slow.bind(0x4000, media)
			slow.write(appendChannelData(nil, 0x4000, []byte("x"), true))
			slow.next()
			s.mu.Lock()
			client := s.got[0].from
			s.mu.Unlock()
			quick := s.allocated(transport, "quick")
			packets := make([]byte, 20*1200)
			for i := range 2000 { // 48 MB, more than any kernel keeps
				s.Send(packets, 1200, client)
				if i%500 == 0 && !echoes(t, quick, media, "hello") {
					t.Fatal("another client waits for the slow one")
				}
			}
			if st := s.Stats(); st.Drops.Queue < 1000 {
				t.Errorf("%+v", st)
			}
			// It can go on when it reads again: what it gets are whole messages.
			for range 100 {
				s.Send(packets[:1200], 1200, client) // the kernel may have kept fewer
				if from, data := slow.next(); from != "0x4000" || len(data) != 1200 {
					t.Fatalf("%d bytes from %q", len(data), from)
				}
			}
		})
	}
}

func TestStalledReaderIsCutOff(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits = Limits{Rate: 1 << 30, Stalled: 20 * time.Millisecond} })
	user, password := s.Credential("a", time.Hour)
	r := s.raw("tcp", user, password)
	r.allocate()
	r.bind(0x4000, media)
	r.write(appendChannelData(nil, 0x4000, []byte("x"), true))
	r.next()
	s.mu.Lock()
	client := s.got[0].from
	s.mu.Unlock()
	packets := make([]byte, 20*1200)
	testutil.Eventually(t, "it is cut off", func() bool {
		s.Send(packets, 1200, client)
		return s.Stats().Closed.Slow == 1
	})
	testutil.Eventually(t, "nothing is left of it", func() bool {
		st := s.Stats()
		return st.Allocations == 0 && st.Connections == 0
	})
}

// TestAllQueues: what waits for all clients together is bounded, and is given back.
func TestAllQueues(t *testing.T) {
	const all = 3 << 20
	s := open(t, func(c *Config) { c.Limits = Limits{Rate: 1 << 30, Queue: 1 << 20, AllQueues: all, Stalled: time.Hour} })
	user, password := s.Credential("a", time.Hour)
	const clients = 10
	var to [clients]netip.AddrPort
	var conns [clients]*raw
	for i := range clients {
		r := s.raw("tcp", user, password)
		r.allocate()
		r.bind(0x4000, media)
		r.write(appendChannelData(nil, 0x4000, []byte("x"), true))
		r.next()
		s.mu.Lock()
		to[i] = s.got[i].from
		s.mu.Unlock()
		conns[i] = r
	}
	const run = 20 * 1200
	packets := make([]byte, run)
	drops := s.Stats().Drops.Queue
	most := int64(0)
	for i := 0; s.Stats().Drops.Queue < drops+10_000; i++ {
		s.Send(packets, 1200, to[i%clients])
		most = max(most, s.queued.Load())
	}
	if most > all+run+20*maxFraming || most < all/2 {
		t.Errorf("%d bytes waited", most)
	}
	for _, r := range conns {
		r.conn.Close()
	}
	testutil.Eventually(t, "all is given back", func() bool { return s.queued.Load() == 0 && s.Stats().Connections == 0 })
}

func TestRate(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.Rate = 100_000 })
	user, password := s.Credential("a", time.Hour)
	r := s.raw("udp", user, password)
	r.allocate()
	r.bind(0x4000, media)
	for _, second := range []uint64{1, 2} {
		drops := s.Stats().Drops.Rate
		testutil.Eventually(t, "the rate is met", func() bool {
			r.write(appendChannelData(nil, 0x4000, make([]byte, 1000), false))
			return s.Stats().Drops.Rate > drops+100
		})
		if up := s.Stats().Up.Bytes; up > 100_000*second || up < 90_000*second-requestCost {
			t.Errorf("%d bytes in second %d", up, second)
		}
		s.pass(time.Second)
	}
	s.mu.Lock()
	client := s.got[0].from
	s.mu.Unlock()
	testutil.Eventually(t, "the rate is met the other way", func() bool {
		before := s.Stats().Drops.Rate
		s.Send(make([]byte, 30_000), 1000, client)
		return s.Stats().Drops.Rate > before
	})
}

func TestStrangersAreLimited(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.Requests, c.Limits.RequestBurst = 1, 20 })
	user, password := s.Credential("a", time.Hour)
	known := s.raw("udp", user, password)
	known.allocate() // takes two
	stranger := s.raw("udp", "", "")
	for range 100 {
		stranger.write(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
	}
	testutil.Eventually(t, "all have come", func() bool { st := s.Stats(); return st.Bindings+st.Drops.Limited >= 100 })
	if st := s.Stats(); st.Bindings != 18 {
		t.Errorf("%d answers", st.Bindings)
	}
	if c := known.bind(0x4000, media); c != 0 { // a client with an allocation is no stranger
		t.Errorf("channel: %d", c)
	}
}

func TestNoAmplification(t *testing.T) {
	s := open(t)
	conn := s.dial("udp")
	udp, _, _ := s.Addresses()
	buf := make([]byte, maxDatagram)
	for _, setters := range [][]stun.Setter{{}, {stun.Fingerprint}, {stun.NewSoftware("something"), stun.Fingerprint}} {
		m := stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, setters...)...)
		if _, err := conn.WriteTo(m.Raw, net.UDPAddrFromAddrPort(udp)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(testutil.Patience))
		n, _, err := conn.ReadFrom(buf)
		if err != nil || n > 2*len(m.Raw) {
			t.Errorf("%d bytes for %d: %v", n, len(m.Raw), err)
		}
		answer := &stun.Message{Raw: buf[:n]}
		var mapped stun.XORMappedAddress
		port := conn.LocalAddr().(*net.UDPAddr).Port
		if err := answer.Decode(); err != nil || mapped.GetFrom(answer) != nil || mapped.Port != port {
			t.Errorf("%s: %v", mapped, err)
		}
	}
}

// TestRefusalsToStrangersAreShort: a stranger who forges its address gains little by requests that have to be answered
// with a nonce.
func TestRefusalsToStrangersAreShort(t *testing.T) {
	s := open(t)
	conn := s.dial("udp")
	udp, _, _ := s.Addresses()
	for _, method := range []stun.Method{
		stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind,
	} {
		for _, setters := range [][]stun.Setter{
			{}, {attribute(stun.AttrSoftware)}, {transportUDP}, {stun.Fingerprint}, {stun.NewUsername("a")},
			{attribute(stun.AttrNonce), attribute(stun.AttrMessageIntegrity)},
			{attribute(stun.AttrMessageIntegrity), attribute(stun.AttrSoftware)},
		} {
			request := []stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}
			m := stun.MustBuild(append(request, setters...)...)
			// Its answer shows that the request before it was not answered.
			after := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
			for _, b := range []*stun.Message{m, after} {
				if _, err := conn.WriteTo(b.Raw, net.UDPAddrFromAddrPort(udp)); err != nil {
					t.Fatal(err)
				}
			}
			for buf := make([]byte, maxDatagram); ; {
				_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
				n, _, err := conn.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				answer := &stun.Message{Raw: buf[:n]}
				if err := answer.Decode(); err != nil {
					t.Fatal(err)
				}
				if answer.TransactionID == after.TransactionID {
					break
				}
				if n > 5*len(m.Raw) {
					t.Errorf("%s with %v: %d bytes for %d", method, m.Attributes, n, len(m.Raw))
				}
			}
		}
	}
}

// junk is what strangers send.
func junk() [][]byte {
	list := [][]byte{
		{0}, {1, 2, 3}, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		bytes.Repeat([]byte{0xff}, 1500), bytes.Repeat([]byte{0}, 1500),
		{0x40, 0, 0xff, 0xff}, {0x40, 0, 0, 0}, {0x4f, 0xff, 0, 1, 'x'}, {0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5},
		{0x80, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1},
		append([]byte{0, 1, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...),
		append([]byte{0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...),
		append([]byte{0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 20)...),
	}
	for i := range 100 {
		b := make([]byte, 1+i*15)
		rand.Read(b)
		if i%3 == 0 {
			b[0] &= 1
		}
		if i%2 == 0 && len(b) > 8 {
			copy(b[4:], []byte{0x21, 0x12, 0xa4, 0x42})
		}
		list = append(list, b)
	}
	for _, method := range []stun.Method{
		stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind,
		stun.MethodSend, stun.MethodData, stun.MethodConnect,
	} {
		for _, class := range []stun.MessageClass{
			stun.ClassRequest, stun.ClassIndication, stun.ClassSuccessResponse, stun.ClassErrorResponse,
		} {
			for _, integrity := range [][]byte{nil, make([]byte, 20), make([]byte, 3)} {
				setters := []stun.Setter{
					stun.TransactionID, stun.NewType(method, class), stun.NewUsername("a:b"), stun.NewRealm("r"),
					stun.NewNonce("n"), peerAddress{media}, attribute(stun.AttrChannelNumber),
				}
				if integrity != nil {
					setters = append(setters, attribute(stun.AttrMessageIntegrity, integrity...))
				}
				list = append(list, stun.MustBuild(setters...).Raw)
			}
		}
	}
	return list
}

func TestJunk(t *testing.T) {
	s := open(t)
	user, password := s.Credential("a", time.Hour)
	udp := s.raw("udp", user, password)
	udp.allocate()
	stranger := s.raw("udp", "", "")
	for _, b := range junk() {
		udp.write(b)
		stranger.write(b)
		for _, transport := range []string{"tcp", "tls"} {
			r := s.raw(transport, "", "")
			r.write(b)
			r.conn.Close()
		}
		_, _, secure := s.Addresses()
		if conn, err := net.Dial("tcp", secure.String()); err == nil {
			conn.Write(b) // in place of a handshake
			conn.Close()
		}
	}
	if c := udp.bind(0x4000, media); c != 0 {
		t.Errorf("channel: %d", c)
	}
	for _, transport := range []string{"udp", "tcp", "tls"} {
		if !echoes(t, s.allocated(transport, "a"), media, "hello") {
			t.Errorf("%s: nothing comes back", transport)
		}
	}
	testutil.Eventually(t, "the connections with junk are gone", func() bool { return s.Stats().Connections == 2 })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.got {
		if d.data != "hello" {
			t.Errorf("%q was delivered", d.data)
		}
	}
}
