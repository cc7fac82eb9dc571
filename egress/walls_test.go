package egress_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/egress"
	"siaran/internal/testutil"
	"siaran/mediaport"
)

// liveStage has a broadcast that goes on.
func liveStage(t *testing.T) *stage {
	t.Helper()
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	t.Cleanup(s.play(25, 4))
	return s
}

// An address that has not answered gets at most three times the bytes that came from there, whatever the state of the
// link is and however long the test waits.
func TestNoAmplification(t *testing.T) {
	hello := egress.ClientHello()
	for name, attack := range map[string]func(t *testing.T, s *stage, v *victim){
		"a check before any other": func(t *testing.T, s *stage, v *victim) {
			v.forge(t, newRawViewer(t, s, "127.0.0.1", "active").check(true))
		},
		"a check and a ClientHello": func(t *testing.T, s *stage, v *victim) {
			r := newRawViewer(t, s, "127.0.0.1", "active")
			v.forge(t, r.check(true))
			v.forge(t, hello)
		},
		"a check of a viewer that waits for a ClientHello": func(t *testing.T, s *stage, v *victim) {
			v.forge(t, newRawViewer(t, s, "127.0.0.1", "passive").check(true))
		},
		"checks without end": func(t *testing.T, s *stage, v *victim) {
			r := newRawViewer(t, s, "127.0.0.1", "passive")
			for range 100 {
				v.forge(t, r.check(true))
			}
		},
		"a check without its password": func(t *testing.T, s *stage, v *victim) {
			r := newRawViewer(t, s, "127.0.0.1", "active")
			r.pwd = "wrong"
			v.forge(t, r.check(true))
		},
		"the handshake has begun elsewhere": func(t *testing.T, s *stage, v *victim) {
			r := newRawViewer(t, s, "127.0.0.1", "active")
			r.answered()
			r.send(hello)
			v.forge(t, r.check(true))
			v.forge(t, hello)
		},
		"the viewer is connected": func(t *testing.T, s *stage, v *victim) {
			r := newRawViewer(t, s, "127.0.0.1", "active")
			r.connect()
			r.receives(t, "no media")
			v.forge(t, r.check(true))
		},
		"the viewer has gone": func(t *testing.T, s *stage, v *victim) {
			r := newRawViewer(t, s, "127.0.0.1", "active")
			r.connect()
			r.mute.Store(true)
			v.forge(t, r.check(true))
		},
		"the address is another viewer's candidate": func(t *testing.T, s *stage, v *victim) {
			a, b := newRawViewer(t, s, "127.0.0.1", "active"), newRawViewer(t, s, "127.0.0.1", "active")
			a.connect()
			for range 4 {
				v.forge(t, a.check(true))
				v.forge(t, b.check(false))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := liveStage(t)
			v := newVictim(t, s, "127.0.0.2")
			attack(t, s, v)
			time.Sleep(6 * time.Second) // longer than all repeats, and than a check of consent
			if in, out := v.in.Load(), v.out.Load(); out > 3*in {
				t.Errorf("%d bytes went to an address from which %d came", out, in)
			}
		})
	}
}

// What a stranger has captured or forged takes a viewer's media nowhere.
func TestCannotBeDiverted(t *testing.T) {
	s := liveStage(t)
	r := newRawViewer(t, s, "127.0.0.1", "active")
	captured := r.check(false)
	r.send(captured)
	r.connect()
	r.receives(t, "no media")

	thief := newVictim(t, s, "127.0.0.3")
	again := &stun.Message{Raw: slices.Clone(captured)}
	if err := again.Decode(); err != nil {
		t.Fatal(err)
	}
	cut := captured[:len(captured)-8] // without FINGERPRINT
	binary.BigEndian.PutUint16(cut[2:], uint16(len(cut)-20))
	nominated := &stun.Message{Raw: slices.Clone(cut)}
	if err := nominated.Decode(); err != nil {
		t.Fatal(err)
	}
	nominated.Add(stun.AttrUseCandidate, nil) // behind the integrity, which needs no password
	if err := stun.Fingerprint.AddTo(nominated); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		thief.forge(t, nominated.Raw)
		thief.forge(t, again.Raw)
		thief.forge(t, r.check(true)) // the viewer's own password
	}
	for range 5 {
		r.receives(t, "the viewer lost its media")
	}
	if out, in := thief.out.Load(), thief.in.Load(); out > 3*in {
		t.Errorf("%d bytes to the thief for %d", out, in)
	}
}

// What a viewer sends from its own address goes to its own session, even if checks of another session come from there.
func TestAddressStaysItsViewers(t *testing.T) {
	s := liveStage(t)
	owner, stranger := newRawViewer(t, s, "127.0.0.1", "active"), newRawViewer(t, s, "127.0.0.1", "active")
	conn := owner.connect()
	owner.receives(t, "no media")
	for range 20 {
		owner.send(stranger.check(true)) // as forged by the stranger
	}
	stranger.answered() // so the forged ones have been seen
	conn.Close()        // its goodbye has to reach its own session
	testutil.Eventually(t,

		"the owner's goodbye went to another session", func() bool {
			_, err := s.server.Session(owner.id)
			return err != nil || s.server.Stats().Sessions == 1
		})

	if _, err := s.server.Session(stranger.id); err != nil {
		t.Error("it ended the stranger's session")
	}
}

// broadcaster plays a session of the broadcasters' side: it believes each check, and passes on what comes.
type broadcaster struct {
	endpoint *mediaport.Endpoint
	claims   map[netip.AddrPort]*mediaport.Claim // the reader's
	got      chan string
}

func newBroadcaster(s *stage, ufrag string) *broadcaster {
	b := &broadcaster{claims: make(map[netip.AddrPort]*mediaport.Claim), got: make(chan string, 100)}
	b.endpoint = s.socket.NewEndpoint(ufrag, b)
	b.endpoint.Open()
	return b
}

func (b *broadcaster) HandleCheck(data []byte, from netip.AddrPort, _ netip.Addr) {
	if b.claims[from] == nil {
		b.claims[from] = b.endpoint.Claim(from)
	}
	b.claims[from].Vouch(time.Now())
	b.got <- string(data)
}

func (b *broadcaster) HandleAnswer([]byte, netip.AddrPort, netip.Addr) {}

func (b *broadcaster) HandlePacket(data []byte, _ netip.AddrPort, _ netip.Addr) {
	b.got <- string(data)
}

func (b *broadcaster) Panicked() {}

// wants waits for a datagram.
func (b *broadcaster) wants(t *testing.T, data []byte, what string) {
	t.Helper()
	select {
	case got := <-b.got:
		if got != string(data) {
			t.Fatalf("%s: %x came", what, got)
		}
	case <-time.After(testutil.Patience):
		t.Fatal(what)
	}
}

// What a broadcaster sends goes to its session, even if checks of a viewer's session come from its address. And a
// broadcaster gets an address that a stranger has used before it.
func TestAddressStaysItsBroadcasters(t *testing.T) {
	s := liveStage(t)
	conn, b := listenOn(t, "127.0.0.1"), newBroadcaster(s, "theirs")
	server := net.UDPAddrFromAddrPort(s.socket.Addresses()[0])
	send := func(data []byte) {
		if _, err := conn.WriteToUDP(data, server); err != nil {
			t.Fatal(err)
		}
	}
	media := append([]byte{0x80, 96}, make([]byte, 100)...)
	own, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername("theirs:x"),
		stun.NewShortTermIntegrity("p"), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newRawViewer(t, s, "127.0.0.1", "active")

	// The stranger claims the address before the broadcaster comes.
	send(stranger.check(true))
	stranger.answered()
	send(own.Raw)
	b.wants(t, own.Raw, "a broadcaster's check was kept from it")
	send(media)
	b.wants(t, media, "a broadcaster's media was kept from it")
	for range 20 {
		send(stranger.check(true))
	}
	stranger.answered()
	for range 3 {
		send(own.Raw)
		b.wants(t, own.Raw, "a forged check took the broadcaster's checks away")
		send(media)
		b.wants(t, media, "a forged check took the broadcaster's media away")
	}

	// A broadcaster that has been silent, and sends no checks for long, as FFmpeg does.
	b.claims[conn.LocalAddr().(*net.UDPAddr).AddrPort()].Hear(time.Now().Add(-2 * mediaport.AddressHold))
	send(stranger.check(true))
	stranger.answered()
	send(media)
	b.wants(t, media, "media was kept from a broadcaster that has been silent")
}

// A viewer that no longer answers is sent nothing after its consent has run out, even if others send checks for it.
// One that changes its address goes on without a new session.
func TestMovesWithTheViewer(t *testing.T) {
	s := liveStage(t)
	r := newRawViewer(t, s, "127.0.0.1", "active")
	r.connect()
	r.receives(t, "no media")
	moved := listenOn(t, "127.0.0.2") // its network changes
	r.mute.Store(true)
	got := make(chan struct{})
	go func() {
		defer close(got)
		buf := make([]byte, 4096)
		for {
			n, err := moved.Read(buf)
			if err != nil || buf[0] >= 128 {
				return
			}
			m := &stun.Message{Raw: slices.Clone(buf[:n])}
			if m.Decode() == nil && m.Type == stun.BindingRequest {
				_, _ = moved.WriteToUDP(r.response(m), r.server)
			}
		}
	}()
	for done := false; !done; {
		if _, err := moved.WriteToUDP(r.check(true), r.server); err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
			done = true
		case <-time.After(200 * time.Millisecond):
		}
	}
	if n := s.server.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// Strangers that fill their handshakes with fragments, with junk, or with nothing keep no viewer out, and their
// sessions end in time.
func TestHostileHandshakes(t *testing.T) {
	t.Parallel()
	s := newStageAt(t, "127.0.0.1:0", siaran.VP8, func(c *egress.Config) { c.SetupTimeout = 5 * time.Second })
	s.frame(true, 2)
	t.Cleanup(s.play(25, 2))
	hello := egress.ClientHello()
	fragment := egress.Fragment
	attacks := []func(r *rawViewer){
		func(r *rawViewer) { // a chain whose first link is missing
			r.send(hello)
			for i := range 2000 {
				r.send(slices.Concat(fragment(i, 1, 0xffffff, i+1, 1), fragment(i+3000, 1, 0xffffff, i+5000, 1)))
			}
		},
		func(r *rawViewer) { // parts of messages to come
			r.send(hello)
			for i := range 2000 {
				r.send(fragment(i, 2+i%60000, 8, 0, 0))
			}
		},
		func(r *rawViewer) { // junk
			r.send(hello)
			for i := range 2000 {
				r.send(append([]byte{22, 0xfe, 0xfd, byte(i), byte(i >> 8)}, make([]byte, 40)...))
			}
		},
		func(r *rawViewer) { r.send(hello) },
		func(*rawViewer) {},
	}
	var attacking sync.WaitGroup
	var strangers []*rawViewer
	for i := range 8 * runtime.GOMAXPROCS(0) {
		setup := "active"
		if i%4 == 3 {
			setup = "passive"
		}
		r := newRawViewer(t, s, "127.0.0.1", setup)
		strangers = append(strangers, r)
		r.answered()
		attacking.Go(func() { attacks[i%len(attacks)](r) })
	}
	begun := time.Now()
	s.server.SetLimits(egress.Limits{SetupTimeout: testutil.Patience}) // its own time, on a busy machine
	v := watch(t, s, webrtc.SettingEngine{})
	v.waitState(webrtc.PeerConnectionStateConnected)
	for range 20 {
		v.next(v.video)
	}
	attacking.Wait()
	testutil.Eventually(t, "sessions outlive their time", func() bool { return s.server.Stats().Sessions == 1 })
	t.Logf("played and all ended after %v", time.Since(begun))
	for _, r := range strangers {
		if _, err := s.server.Session(r.id); err == nil {
			t.Error("a stranger's session is still there")
		}
	}
}

// A panic over what one viewer sends ends that session, and no other.
func TestPanicEndsOneSession(t *testing.T) {
	s := liveStage(t)
	other := watch(t, s, webrtc.SettingEngine{})
	other.next(other.video)
	for n, where := range []func(*egress.Server, siaran.SessionID){egress.PanicInWorker, egress.PanicInReader} {
		one := newRawViewer(t, s, "127.0.0.1", "active")
		one.connect()
		one.receives(t, "no media")
		where(s.server, one.id)
		one.send(append([]byte{0x80, 201, 0, 7}, make([]byte, 28)...))
		testutil.Eventually(t, "the session lives", func() bool { _, err := s.server.Session(one.id); return err != nil })
		if s.server.Stats().Panics != uint64(n+1) {
			t.Errorf("%d panics are counted, want %d", s.server.Stats().Panics, n+1)
		}
		for range 50 {
			other.next(other.video)
		}
	}
}

// One viewer's reports leave room for those of others, and those that strangers forge leave room for its own.
func TestReportsAreBounded(t *testing.T) {
	s := liveStage(t)
	r := newRawViewer(t, s, "127.0.0.1", "active")
	seal := r.seals(r.connect())
	r.receives(t, "no media")
	junk := append([]byte{0x81, 201, 0, 1}, make([]byte, 36)...)
	for range 5000 {
		r.send(junk)
	}
	testutil.Eventually(t, "no junk was dropped", func() bool { return s.server.Stats().Drops.Forged > 0 })
	if n := s.server.Stats().Drops.Reports; n != 0 {
		t.Errorf("junk used up the viewer's budget: %d reports were dropped", n)
	}
	testutil.Eventually(t, "nothing was dropped", func() bool {
		for range 200 {
			r.send(seal(&rtcp.ReceiverReport{SSRC: 1}))
		}
		return s.server.Stats().Drops.Reports > 0
	})
	r.receives(t, "the media stopped")
}
