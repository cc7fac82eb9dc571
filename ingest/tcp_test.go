package ingest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/stun"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/sdp"
	"siaran/internal/testutil"
)

// withTCP makes a server take TCP too.
func withTCP(t testing.TB) func(*Config) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().(*net.TCPAddr).AddrPort()
	return func(c *Config) {
		c.TCP = listener
		c.TCPAddresses = func() []netip.AddrPort { return []netip.AddrPort{addr} }
	}
}

// onlyTCP is a client without UDP.
func onlyTCP(e *webrtc.SettingEngine) {
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
}

func TestPublishOverTCP(t *testing.T) {
	s := start(t, withTCP(t))
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, noAudio: true, setting: onlyTCP})
	const frames = 300
	for i := range frames {
		if err := b.video.WriteRTP(rtpPacket(uint16(i), uint32(i)*3000, true, vp8(i == 0, i))); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range follow(t, s.live(t, "cats").Video().Layers[0], frames) {
		if want := vp8(i == 0, i); !bytes.Equal(p.Payload, want) {
			t.Fatalf("packet %d is %x", i, p.Payload)
		}
	}
	if h, _ := s.Health("cats"); h.Transport != "tcp" {
		t.Errorf("health says %q", h.Transport)
	}
	if err := s.End(b.answer.Session); err != nil {
		t.Error(err)
	}
	testutil.Eventually(t, "the connections to end", func() bool { return s.listener.count() == 0 })
}

func (s *tcpListener) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) + len(s.unverified) + len(s.sources)
}

// TestTCPIsTheLastResort: UDP is announced first, and a client that has heard from both chooses it.
func TestTCPIsTheLastResort(t *testing.T) {
	t.Parallel()
	s := start(t, withTCP(t))
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, setting: func(e *webrtc.SettingEngine) {
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeTCP4})
		// pion nominates the best pair that has answered by then. Without it that is the first pair, and it stays.
		e.SetHostAcceptanceMinWait(2 * time.Second)
		e.SetPrflxAcceptanceMinWait(2 * time.Second)
	}})
	var candidates []string
	for line := range strings.Lines(string(b.answer.SDP)) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "a=candidate:"); found {
			candidates = append(candidates, value)
		}
	}
	udp, tcp := s.cfg.Addresses()[0], s.cfg.TCPAddresses()[0]
	want := []string{
		fmt.Sprintf("1 1 udp 2130706431 127.0.0.1 %d typ host", udp.Port()),
		fmt.Sprintf("2 1 tcp 1520435199 127.0.0.1 %d typ host tcptype passive", tcp.Port()),
	}
	if strings.Join(candidates, "\n") != strings.Join(want, "\n") {
		t.Errorf("candidates are %q, not %q", candidates, want)
	}
	testutil.Eventually(t, "UDP to be chosen", func() bool {
		pair, err := b.sender.Transport().ICETransport().GetSelectedCandidatePair()
		return err == nil && pair != nil && pair.Remote.Protocol == webrtc.ICEProtocolUDP
	})
}

// tcpClient is a client of the test's own making.
type tcpClient struct {
	net.Conn
	in *bufio.Reader
}

func dialTCP(t testing.TB, s *testServer) *tcpClient {
	t.Helper()
	conn, err := net.Dial("tcp", s.listener.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testutil.Patience)); err != nil {
		t.Fatal(err)
	}
	return &tcpClient{conn, bufio.NewReader(conn)}
}

func frame(data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
}

func (c *tcpClient) put(t testing.TB, data []byte) {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
}

// answered reports whether a check is answered before the server closes the connection.
func (c *tcpClient) answered() bool {
	for {
		d, err := readFrame(c.in)
		if err != nil {
			return false
		}
		if msg := (stun.Message{Raw: d.buf[:d.n]}); msg.Decode() == nil && msg.Type == stun.BindingSuccess {
			return true
		}
	}
}

// closed waits for the server to close the connection.
func (c *tcpClient) closed() bool {
	_, err := io.Copy(io.Discard, c.in)
	var late net.Error
	return err == nil || !errors.As(err, &late) || !late.Timeout()
}

func check(t testing.TB, ufrag, password string) []byte {
	t.Helper()
	return must(stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":"+theirs),
		stun.NewShortTermIntegrity(password), stun.Fingerprint)).Raw
}

const theirs = "theirs" // user name fragment of test clients

// offerOnly opens a session whose client never connects by itself.
func offerOnly(t testing.TB, s *testServer, name siaran.StreamName) *muxSession {
	t.Helper()
	b := newClient(t, clientOptions{video: webrtc.MimeTypeVP8, setting: func(e *webrtc.SettingEngine) {
		e.SetICECredentials(theirs, strings.Repeat("p", 32))
	}})
	answer, err := s.Offer(t.Context(), name, "owner", netip.Addr{}, []byte(b.offer()))
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[answer.Session].transport.mux
}

func TestTCPStrangersAreSentAway(t *testing.T) {
	s := start(t, withTCP(t))
	share := offerOnly(t, s, "cats")
	for name, data := range map[string][]byte{
		"HTTP":             []byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
		"too long":         {0xff, 0xff, 1, 2, 3},
		"no STUN":          frame([]byte("hello")),
		"unknown session":  frame(check(t, "nobody", share.first.password)),
		"wrong password":   frame(check(t, share.first.ufrag, "wrong")),
		"without password": frame(request(t, share.first.ufrag)),
		"response":         frame(response(t)),
		"media":            frame(media(1)),
	} {
		t.Run(name, func(t *testing.T) {
			c := dialTCP(t, s)
			c.put(t, data)
			if !c.closed() {
				t.Error("it stays")
			}
		})
	}
	c := dialTCP(t, s)
	c.put(t, frame(check(t, share.first.ufrag, share.first.password)))
	if !c.answered() {
		t.Error("a right check is not answered")
	}
}

// TestTCPSaysNothing: a connection on which no check comes in time is closed.
func TestTCPSaysNothing(t *testing.T) {
	s := start(t, func(c *Config) { withTCP(t)(c); c.firstCheck = 100 * time.Millisecond })
	silent, slow := dialTCP(t, s), dialTCP(t, s)
	slow.put(t, []byte{0, 20, 0})
	if !silent.closed() || !slow.closed() {
		t.Error("it stays")
	}
}

func TestTCPBounds(t *testing.T) {
	s := start(t, withTCP(t))
	share := offerOnly(t, s, "cats")
	right := func() []byte { return frame(check(t, share.first.ufrag, share.first.password)) }
	captured := right()
	var known []*tcpClient
	for i := range maxPerSession + 3 {
		c := dialTCP(t, s)
		if i == 0 {
			c.put(t, captured)
		} else {
			c.put(t, right())
		}
		if c.answered() {
			known = append(known, c)
		}
		if i == 0 {
			copied := dialTCP(t, s)
			copied.put(t, captured)
			if !copied.closed() {
				t.Error("who has captured a check has a place")
			}
		}
	}
	if len(known) != maxPerSession {
		t.Errorf("%d connections of a session are kept", len(known))
	}
	testutil.Eventually(t, "the others to go", func() bool { return s.listener.count() == maxPerSession })
	var strangers []*tcpClient
	for range maxPerSource {
		strangers = append(strangers, dialTCP(t, s))
	}
	testutil.Eventually(t, "the strangers to be known as such",
		func() bool { return s.listener.waiting() == maxPerSource })
	for range maxPerSource {
		if !dialTCP(t, s).closed() {
			t.Error("one too many stays")
		}
	}
	for _, c := range known { // in spite of the others
		c.put(t, right())
		if !c.answered() {
			t.Error("a known one is not answered")
		}
	}
	for _, c := range strangers {
		c.Close()
	}
	testutil.Eventually(t, "the strangers to be forgotten", func() bool { return s.listener.count() == maxPerSession })
}

func (s *tcpListener) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unverified)
}

// TestTCPEvictsStrangers: the oldest goes when there are too many from everywhere.
func TestTCPEvictsStrangers(t *testing.T) {
	m := testMux(t)
	s := newTCPListener(&idleListener{closed: make(chan struct{})}, m, time.Minute, discard)
	defer s.end()
	var first net.Conn
	for i := range maxUnverified + 1 {
		ours, theirs := net.Pipe()
		defer ours.Close()
		if i == 0 {
			first = ours
			if err := first.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
				t.Fatal(err)
			}
		}
		s.admit(addressed{theirs, &net.TCPAddr{IP: net.IPv4(198, 51, byte(i>>8), byte(i)), Port: 4000}})
	}
	if _, err := first.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the oldest: %v", err)
	}
	if n := s.waiting(); n != maxUnverified {
		t.Errorf("%d strangers", n)
	}
}

type idleListener struct{ closed chan struct{} }

func (l *idleListener) Accept() (net.Conn, error) { <-l.closed; return nil, net.ErrClosed }
func (l *idleListener) Close() error              { close(l.closed); return nil }
func (l *idleListener) Addr() net.Addr            { return &net.TCPAddr{} }

type addressed struct {
	net.Conn
	remote net.Addr
}

func (c addressed) RemoteAddr() net.Addr { return c.remote }

// TestTCPStalls has one client that takes nothing, while another broadcasts.
func TestTCPStalls(t *testing.T) {
	s := start(t, withTCP(t))
	share := offerOnly(t, s, "dogs")
	stalled := dialTCP(t, s)
	stalled.put(t, frame(check(t, share.first.ufrag, share.first.password)))
	if !stalled.answered() {
		t.Fatal("the check is not answered")
	}
	testutil.Eventually(t, "the connection to take no more", func() bool { // however much its socket takes before
		for range 10_000 {
			if _, err := share.tcp4.WriteTo(make([]byte, 1200), stalled.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		share.mu.Lock()
		defer share.mu.Unlock()
		for _, c := range share.tcpConns {
			if len(c.queue) < tcpQueue/2 {
				return false
			}
		}
		return true
	})
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, noAudio: true, setting: onlyTCP})
	for i := range 10 {
		if err := b.video.WriteRTP(rtpPacket(uint16(i), uint32(i)*3000, true, vp8(i == 0, i))); err != nil {
			t.Fatal(err)
		}
	}
	follow(t, s.live(t, "cats").Video().Layers[0], 10)
}

func FuzzStream(f *testing.F) {
	for _, data := range [][]byte{request(f, "cats"), check(f, "cats", "secret"), response(f), media(3)} {
		f.Add(frame(data))
		f.Add(append(frame(check(f, "cats", "secret")), frame(data)...))
	}
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff})
	port, err := mediaport.Open("127.0.0.1:0", mediaport.Options{Shards: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { port.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > queueLength {
			return // its session would have to read
		}
		m := newMux(port)
		tcp := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8189")}
		share, err := m.session(local{ufrag: "cats", password: "secret", tcp: tcp}, new(sdp.Offer), func() {})
		if err != nil {
			t.Fatal(err)
		}
		s := &tcpListener{mux: m, firstCheck: time.Minute, open: map[*tcpConn]struct{}{}, sources: map[netip.Prefix]int{}}
		ours, theirs := net.Pipe()
		c := newTCPConn(s, theirs, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 4000})
		s.running.Go(c.read)
		s.running.Go(c.write)
		ours.Write(data) // as much as is taken
		ours.Close()
		s.running.Wait()
		m.leave(share)
		if len(share.tcpConns) != 0 {
			t.Error("the connection is left in the session")
		}
	})
}
