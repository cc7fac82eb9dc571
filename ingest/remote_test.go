package ingest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"
	"github.com/pion/webrtc/v3"

	"siaran/internal/testutil"
)

// TestNoAmplification has the holder of a token aim the server at an address that never asked: by naming it among the
// candidates, and by checks in its name. The server's offers of a handshake in either role come after its answer only.
func TestNoAmplification(t *testing.T) {
	for _, role := range []string{"active", "passive"} {
		for _, test := range []struct {
			name   string
			listed bool
			checks int
		}{{"a candidate", true, 0}, {"one forged check", false, 1}, {"20 forged checks", false, 20}} {
			t.Run(role+", "+test.name, func(t *testing.T) {
				t.Parallel()
				s := start(t, nil)
				victim, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
				if err != nil {
					t.Skip(err)
				}
				defer victim.Close()
				to := victim.LocalAddr().(*net.UDPAddr)
				b := newClient(t, clientOptions{video: webrtc.MimeTypeVP8})
				offer := withoutCandidates(strings.ReplaceAll(b.offer(), "a=setup:actpass", "a=setup:"+role))
				if test.listed {
					offer = strings.Replace(offer, "a=mid:", fmt.Sprintf("a=candidate:1 1 udp 1 %s %d typ host\r\na=mid:", to.IP,
						to.Port), 1)
				}
				answer, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, []byte(offer))
				if err != nil {
					t.Fatal(err)
				}
				in := 0
				for range test.checks {
					check := s.nomination(t, answer.Tag)
					in += len(check)
					s.mux.find(answer.Tag).HandleCheck(check, to.AddrPort(), netip.Addr{})
				}
				out, limit := 0, max(forgeryFactor*in, 1)
				if test.listed {
					limit = candidateBytes
				}
				buf := make([]byte, maxDatagram)
				victim.SetReadDeadline(time.Now().Add(testutil.Patience))
				for {
					n, err := victim.Read(buf)
					if err != nil {
						break
					}
					if out == 0 {
						victim.SetReadDeadline(time.Now().Add(time.Second)) // for what is sent again
					}
					out += n
				}
				if out == 0 || out > limit {
					t.Errorf("%d bytes came for %d", out, in)
				}
			})
		}
	}
}

// nomination is a check of a session's broadcaster that nominates the address it comes from.
func (s *testServer) nomination(t *testing.T, ufrag string) []byte {
	t.Helper()
	session := s.mux.find(ufrag)
	s.Server.mu.Lock()
	defer s.Server.mu.Unlock()
	for _, o := range s.sessions {
		if o.info.Tag != ufrag {
			continue
		}
		controlling := stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)}
		priority := stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{0x6e, 0, 1, 0xff}}
		return must(stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":"+o.info.RemoteUfrag),
			controlling, priority, stun.RawAttribute{Type: stun.AttrUseCandidate},
			stun.NewShortTermIntegrity(session.first.password), stun.Fingerprint)).Raw
	}
	t.Fatal("there is no such session")
	return nil
}

// TestForgedChecksTakeNoPlaces: who sees a check knows the name in it, but not the password.
func TestForgedChecksTakeNoPlaces(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "cats")
	real := udp("[100::1]:5000")
	captured := request(t, "cats")
	m.dispatch(captured, real)
	if s.queued() != 1 {
		t.Fatal("the broadcaster's check did not come")
	}
	stranger := func(port int) *net.UDPAddr { return &net.UDPAddr{IP: net.ParseIP("100::3"), Port: 1000 + port} }
	for port := range 200 {
		m.dispatch(requestWith(t, "cats", "guessed"), stranger(port))
		m.dispatch(captured, stranger(port))
	}
	if s.queued() != 0 || len(s.bound) != 1 {
		t.Errorf("%d addresses are the session's", len(s.bound))
	}
	if m.dispatch(captured, real); s.queued() != 1 {
		t.Error("a check that was sent again is not answered again")
	}
	for port := range 200 { // by who knows the password
		m.dispatch(request(t, "cats"), stranger(port))
	}
	if len(s.bound) > maxBound {
		t.Errorf("%d addresses are bound", len(s.bound))
	}
	for addr := range s.bound {
		s.silent(net.UDPAddrFromAddrPort(addr))
	}
	m.dispatch(media(1), real)
	moved := udp("[100::1]:6000")
	m.dispatch(request(t, "cats"), moved)
	s.queued()
	m.dispatch(media(1), moved)
	m.dispatch(media(1), real)
	if n := s.queued(); n != 2 {
		t.Errorf("%d of 2 packets came after the broadcaster has moved", n)
	}
}

// TestCapturedNominationMovesNothing: a nomination that was captured before the broadcaster moved does not move it
// back.
func TestCapturedNominationMovesNothing(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "cats")
	c := s.restart("theirs", testPassword)
	nomination := func() []byte {
		return must(stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(c.ufrag+":theirs"),
			stun.RawAttribute{Type: stun.AttrUseCandidate}, stun.NewShortTermIntegrity(c.password), stun.Fingerprint)).Raw
	}
	before, now := udp("[100::1]:5000"), udp("[100::1]:6000")
	captured := nomination()
	m.dispatch(captured, before)
	m.dispatch(nomination(), now)
	m.dispatch(captured, before)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, b := s.bound[before.AddrPort()].nominated, s.bound[now.AddrPort()].nominated; a >= b {
		t.Errorf("the nomination before counts as number %d, the newest as %d", a, b)
	}
}

func TestUnprovenAddressGetsLittle(t *testing.T) {
	check := request(t, "cats")
	r := &remote{in: len(check)}
	for i := range forgeryFactor + 1 {
		if may := r.may(check); may != (i < forgeryFactor) {
			t.Errorf("datagram %d: %v", i, may)
		}
	}
	r.answers(response(t))
	if r.may(check) {
		t.Error("an answer to nothing proves an address")
	}
	asked := &stun.Message{Raw: check}
	if err := asked.Decode(); err != nil {
		t.Fatal(err)
	}
	answer := must(stun.Build(asked, stun.BindingSuccess, stun.Fingerprint))
	r.answers(answer.Raw)
	if !r.may(make([]byte, maxDatagram)) {
		t.Error("an answer does not prove an address")
	}
}
