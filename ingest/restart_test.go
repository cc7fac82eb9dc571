package ingest

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/sdp"
	"siaran/internal/testutil"
)

var ufragLine, passwordLine = regexp.MustCompile(`a=ice-ufrag:\S+`), regexp.MustCompile(`a=ice-pwd:\S+`)

// restart restarts ICE from the client's side. It returns the fragment that the server has answered with.
func (b *broadcaster) restart(s *testServer) *sdp.Fragment {
	b.t.Helper()
	offer := must(b.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true}))
	if err := b.pc.SetLocalDescription(offer); err != nil {
		b.t.Fatal(err)
	}
	// CreateOffer has begun to gather, so pion's promise could miss the end.
	testutil.Eventually(b.t, "all candidates", func() bool {
		return b.pc.ICEGatheringState() == webrtc.ICEGatheringStateComplete
	})
	own := must(sdp.ParseOffer([]byte(b.pc.LocalDescription().SDP)))
	restarted, err := s.Restart(b.answer.Session, must(s.Session(b.answer.Session)).Tag, &sdp.Fragment{
		Ufrag: own.Ufrag, Password: own.Password, Candidates: own.Candidates,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	f := must(sdp.ParseFragment(restarted.Fragment))
	text := b.pc.CurrentRemoteDescription().SDP
	text = ufragLine.ReplaceAllString(text, "a=ice-ufrag:"+f.Ufrag)
	text = passwordLine.ReplaceAllString(text, "a=ice-pwd:"+f.Password)
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}); err != nil {
		b.t.Fatal(err)
	}
	return f
}

// names are the user name fragments that checks for a session of the server may name.
func (s *testServer) names() []string {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	var list []string
	for name := range s.mux.names {
		list = append(list, name)
	}
	return list
}

func sameSocket(t *testing.T) func(*webrtc.SettingEngine) {
	_, setting := onBadNetwork(t, nil)
	return setting
}

// TestRestart restarts ICE again and again, with an address that stays, with ones that change, and over TCP. The ICE
// session before is over once the new one has a path, and media never stops.
func TestRestart(t *testing.T) {
	for name, setting := range map[string]func(*webrtc.SettingEngine){
		"other address": nil,
		"same address":  sameSocket(t),
		"tcp":           onlyTCP,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, withTCP(t))
			b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, setting: setting})
			defer b.sendFrames()()
			layer := s.live(t, "cats").Video().Layers[0]
			for range 4 {
				before := s.names()
				f := b.restart(s)
				testutil.Eventually(t, "the ICE session before is over", func() bool {
					now := s.names()
					return len(now) == 1 && now[0] == f.Ufrag && now[0] != before[0]
				})
				from := layer.Head()
				testutil.Eventually(t, "media", func() bool { return layer.Head() > from+20 })
			}
			if h, _ := s.Health("cats"); h.Silent || !h.Connected {
				t.Errorf("%+v", h)
			}
		})
	}
}

// TestRestartByOneCheck: a broadcaster nominates by its first check and sends no other. Its address has not answered by
// then.
func TestRestartByOneCheck(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	own := &sdp.Fragment{Ufrag: sdp.RandomText(8), Password: sdp.RandomText(24)}
	restarted := must(s.Restart(b.answer.Session, must(s.Session(b.answer.Session)).Tag, own))
	f := must(sdp.ParseFragment(restarted.Fragment))
	conn := must(net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.cfg.Addresses()[0])))
	defer conn.Close()
	send := func(setters ...stun.Setter) {
		t.Helper()
		if _, err := conn.Write(stun.MustBuild(append(setters, stun.Fingerprint)...).Raw); err != nil {
			t.Fatal(err)
		}
	}
	send(stun.TransactionID, stun.BindingRequest, stun.NewUsername(f.Ufrag+":"+own.Ufrag),
		stun.RawAttribute{Type: stun.AttrUseCandidate}, stun.RawAttribute{Type: stun.AttrPriority, Value: make([]byte, 4)},
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)}, stun.NewShortTermIntegrity(f.Password))
	_ = conn.SetReadDeadline(time.Now().Add(testutil.Patience))
	buf := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if m := decoded(buf[:n]); m != nil && m.Type == stun.BindingRequest {
			time.Sleep(100 * time.Millisecond) // pion has looked at the check by then
			send(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
				&stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 9}, stun.NewShortTermIntegrity(own.Password))
			break
		}
	}
	testutil.Eventually(t, "the ICE session before is over", func() bool {
		now := s.names()
		return len(now) == 1 && now[0] == f.Ufrag
	})
}

// TestRestartThatFails leaves the ICE session before it, with which media goes on; the next one works.
func TestRestartThatFails(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.consent = 6 * time.Second })
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	defer b.sendFrames()()
	layer := s.live(t, "cats").Video().Layers[0]
	first := s.names()[0]
	for range 5 {
		tag := must(s.Session(b.answer.Session)).Tag
		fragment := &sdp.Fragment{Ufrag: sdp.RandomText(8), Password: sdp.RandomText(24)}
		must(s.Restart(b.answer.Session, tag, fragment))
		if _, err := s.Restart(b.answer.Session, tag, fragment); !errors.Is(err, siaran.ErrTagChanged) {
			t.Error(err)
		}
		if err := s.AddCandidates(b.answer.Session, tag, nil); !errors.Is(err, siaran.ErrTagChanged) {
			t.Error(err)
		}
		if len(s.names()) != 2 {
			t.Errorf("checks may name %q", s.names())
		}
	}
	began := time.Now()
	testutil.Eventually(t, "media for longer than consent lasts", func() bool {
		if s.count() == 0 {
			t.Fatal("the session is gone")
		}
		return time.Since(began) > 8*time.Second
	})
	if s.mux.find(first) == nil {
		t.Error("the first ICE session is over")
	}
	b.restart(s)
	testutil.Eventually(t, "the first ICE session is over", func() bool { return s.mux.find(first) == nil })
	from := layer.Head()
	testutil.Eventually(t, "media", func() bool { return layer.Head() > from+20 })
}

// TestRestartWhileSettingUp: a broadcaster restarts before it is connected, and connects with its newest credentials.
func TestRestartWhileSettingUp(t *testing.T) {
	s := start(t, nil)
	b := newClient(t, clientOptions{video: webrtc.MimeTypeVP8})
	answer, err := s.Offer(t.Context(), "cats", "owner", netip.Addr{}, []byte(b.offer()))
	if err != nil {
		t.Fatal(err)
	}
	b.answer = answer
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer.SDP)}
	if err := b.pc.SetRemoteDescription(description); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.restart(s)
	}
	defer b.sendFrames()()
	s.live(t, "cats")
}

// TestRestartOfAnEndingSession: restarts during a takeover and a DELETE fail with ErrUnknownSession or leave nothing.
func TestRestartOfAnEndingSession(t *testing.T) {
	s := start(t, nil)
	for i := range 10 {
		b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					info, err := s.Session(b.answer.Session)
					if err == nil {
						_, err = s.Restart(b.answer.Session, info.Tag,
							&sdp.Fragment{Ufrag: sdp.RandomText(8), Password: sdp.RandomText(24)})
					}
					if errors.Is(err, siaran.ErrUnknownSession) {
						return
					}
					if err != nil && !errors.Is(err, siaran.ErrTagChanged) {
						t.Error(err)
						return
					}
				}
			})
		}
		if i%2 == 0 {
			if err := s.End(b.answer.Session); err != nil {
				t.Error(err)
			}
		} else {
			next := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
			if err := s.End(next.answer.Session); err != nil {
				t.Error(err)
			}
		}
		all.Wait()
	}
	testutil.Eventually(t, "nothing is left", func() bool { return len(s.names()) == 0 && s.count() == 0 })
	for _, table := range []string{"byUfrag", "byAddress", "byQuestion"} {
		if n := reflect.ValueOf(s.port).Elem().FieldByName(table).Len(); n != 0 {
			t.Errorf("%d entries are left of %s", n, table)
		}
	}
}

// TestChecksOfRestarts: checks count with the credentials that they name, those of an ICE session that is over do not,
// and a nomination from an address that has not answered moves nothing.
func TestChecksOfRestarts(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "cats")
	home, forged := udp("[100::1]:5000"), udp("[100::2]:5000")
	check := func(c *credentials, password string, more ...stun.Setter) []byte {
		name := stun.NewUsername(c.ufrag + ":" + c.remoteUfrag)
		setters := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, name}, more...)
		return stun.MustBuild(append(setters, stun.NewShortTermIntegrity(password), stun.Fingerprint)...).Raw
	}
	next := s.restart("theirs", "their password")
	m.dispatch(check(next, "wrong"), home)
	m.dispatch(check(next, s.first.password), home)
	m.dispatch(check(&credentials{ufrag: next.ufrag, remoteUfrag: "others"}, next.password), home)
	if s.queued() != 0 || len(s.bound) != 0 {
		t.Fatal("a check without the right credentials counts")
	}
	m.dispatch(check(next, next.password), home)
	d := <-s.v6.queue
	told := &stun.Message{Raw: append([]byte(nil), d.buf[:d.n]...)}
	name := func() string { text, _ := told.Get(stun.AttrUsername); return string(text) }
	if err := told.Decode(); err != nil || name() != "cats:"+s.first.remoteUfrag || !integral(told, testPassword) {
		t.Errorf("pion gets %v, %v", told, err)
	}
	nominate := stun.RawAttribute{Type: stun.AttrUseCandidate}
	m.dispatch(check(next, next.password, nominate), forged)
	if s.next != next || s.ice != s.first || s.bound[forged.AddrPort()].nominated != 1 {
		t.Error("a nomination alone has ended the ICE session before")
	}
	last := s.restart("theirs2", "their password")
	m.dispatch(check(next, next.password), home)
	if s.queued() > 1 || len(s.bound) != 0 {
		t.Errorf("%d addresses of a restart that has been replaced are left", len(s.bound))
	}
	m.leave(s)
	if s.restart("theirs3", "their password") != nil || m.find(last.ufrag) != nil {
		t.Error("a session that has left restarts")
	}
}

// TestNothingBehindTheIntegrityCounts has a stranger send a captured check again, from the broadcaster's address and
// with attributes behind those that its integrity covers.
func TestNothingBehindTheIntegrityCounts(t *testing.T) {
	m := testMux(t)
	s := join(t, m, "cats")
	from := netip.MustParseAddrPort("198.51.100.1:5000")
	for _, c := range []*credentials{s.first, s.restart("theirs", "their password")} {
		captured := must(stun.Build(stun.TransactionID, stun.BindingRequest,
			stun.NewUsername(c.ufrag+":"+c.remoteUfrag), stun.NewShortTermIntegrity(c.password)))
		s.HandleCheck(captured.Raw, from, netip.Addr{})
		if s.queued() != 1 {
			t.Fatal("a right check does not come through")
		}
		changed := &stun.Message{Raw: append([]byte(nil), captured.Raw...)}
		if err := changed.Decode(); err != nil {
			t.Fatal(err)
		}
		changed.Add(stun.AttrUseCandidate, nil)
		changed.Add(stun.AttrICEControlled, make([]byte, 8))
		if err := stun.Fingerprint.AddTo(changed); err != nil {
			t.Fatal(err)
		}
		if _, nominates := s.inwardCheck(changed.Raw, c); nominates {
			t.Error("a stranger has nominated a path")
		}
		s.HandleCheck(changed.Raw, from, netip.Addr{})
		d := <-s.v4.queue
		told := decoded(d.buf[:d.n])
		if told == nil || !integral(told, s.first.password) {
			t.Fatalf("pion gets %v", told)
		}
		if told.Contains(stun.AttrUseCandidate) || told.Contains(stun.AttrICEControlled) {
			t.Error("pion gets what a stranger has added")
		}
	}
}

// FuzzTranslated gives pion's messages and the broadcaster's any content: what comes out is STUN, or nothing.
func FuzzTranslated(f *testing.F) {
	m := testMux(f)
	s := join(f, m, "cats")
	next := s.restart("theirs", "their password")
	for _, message := range []*stun.Message{
		stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(next.ufrag+":theirs"),
			stun.NewShortTermIntegrity(next.password), stun.Fingerprint),
		stun.MustBuild(stun.TransactionID, stun.BindingSuccess,
			&stun.XORMappedAddress{IP: []byte{192, 0, 2, 1}, Port: 9}, stun.NewShortTermIntegrity(next.remotePassword)),
		stun.MustBuild(stun.TransactionID, stun.BindingError, stun.CodeRoleConflict),
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication)),
	} {
		f.Add(message.Raw)
	}
	mapped := netip.MustParseAddrPort("192.0.2.7:7")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range []*credentials{s.first, next} {
			if told, _ := s.inwardCheck(b, c); told != nil && decoded(told) == nil {
				t.Errorf("pion gets %x for the check %x", told, b)
			}
			if told := s.outward(b, c, mapped); told == nil && decoded(b) != nil && len(b) < 1200 {
				t.Errorf("nothing goes out for %x", b)
			}
		}
		if told := s.inwardAnswer(b); told != nil && decoded(told) == nil {
			t.Errorf("pion gets %x for the answer %x", told, b)
		}
	})
}
