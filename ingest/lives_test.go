package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/testutil"
)

// sendFrames sends VP8 frames until stop is called, a key frame now and then.
func (b *broadcaster) sendFrames() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			_ = b.video.WriteRTP(rtpPacket(uint16(n), uint32(n)*450, true, vp8(n%20 == 0, n))) // fails after the end
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(quit); <-done })
}

func TestSetupRoles(t *testing.T) {
	for offered, want := range map[string]string{"actpass": "active", "active": "passive", "passive": "active"} {
		t.Run(offered, func(t *testing.T) {
			s := start(t, nil)
			b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, offer: func(sdp string) string {
				return strings.ReplaceAll(sdp, "a=setup:actpass", "a=setup:"+offered)
			}})
			if !strings.Contains(string(b.answer.SDP), "a=setup:"+want+"\r\n") {
				t.Errorf("answer to %s:\n%s", offered, b.answer.SDP)
			}
			defer b.sendFrames()()
			s.live(t, "cats")
		})
	}
}

// withoutCandidates is an offer as OBS makes it: its address shows only in its checks.
func withoutCandidates(offer string) string {
	var kept []string
	for line := range strings.SplitSeq(offer, "\r\n") {
		if !strings.HasPrefix(line, "a=candidate") && line != "a=end-of-candidates" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\r\n")
}

func TestOfferWithoutCandidates(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, offer: withoutCandidates})
	defer b.sendFrames()()
	s.live(t, "cats")
}

// TestTrickledCandidates has a broadcaster that never checks by itself, so that ours must reach it.
func TestTrickledCandidates(t *testing.T) {
	s := start(t, nil)
	client := newClient(t, clientOptions{video: webrtc.MimeTypeVP8,
		setting: func(e *webrtc.SettingEngine) { e.SetLite(true) }})
	offer := client.offer()
	if !strings.Contains(offer, "a=ice-lite") {
		t.Fatalf("the offer is not of an ICE lite agent:\n%s", offer)
	}
	answer, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, []byte(withoutCandidates(offer)))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer,
		SDP: string(answer.SDP)}); err != nil {
		t.Fatal(err)
	}
	var candidates []string
	for line := range strings.SplitSeq(offer, "\r\n") {
		if value, found := strings.CutPrefix(line, "a=candidate:"); found {
			candidates = append(candidates, value)
		}
	}
	if err := s.AddCandidates(answer.Session, answer.Tag, candidates); err != nil {
		t.Fatal(err)
	}
	defer client.sendFrames()()
	s.live(t, "cats")
}

func TestOlderCipher(t *testing.T) { // all that mbedTLS builds of OBS have
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, setting: func(e *webrtc.SettingEngine) {
		e.SetSRTPProtectionProfiles(0x0001) // SRTP_AES128_CM_SHA1_80
	}})
	defer b.sendFrames()()
	s.live(t, "cats")
}

func TestSessionInfo(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	info, err := s.Session(b.answer.Session)
	if err != nil || info.Stream != "cats" || info.Owner != "owner" || info.Tag != b.answer.Tag || info.Tag == "" {
		t.Errorf("info is %+v, %v", info, err)
	}
	if local := b.pc.LocalDescription().SDP; !strings.Contains(local, "a=ice-ufrag:"+info.RemoteUfrag) ||
		!strings.Contains(local, "a=ice-pwd:"+info.RemotePassword) {
		t.Errorf("remote credentials are not the offer's: %+v", info)
	}
	if err := s.AddCandidates(b.answer.Session, b.answer.Tag, []string{"junk", "1 1 udp 1 abc.local 5000 typ host",
		"1 1 udp 1 127.0.0.1 5000 typ host generation 0"}); err != nil {
		t.Error(err)
	}
	if _, err := s.Session("unknown"); !errors.Is(err, siaran.ErrUnknownSession) {
		t.Error(err)
	}
	if err := s.AddCandidates("unknown", "", nil); !errors.Is(err, siaran.ErrUnknownSession) {
		t.Error(err)
	}
}

func TestEndIsFinal(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	stop := b.sendFrames()
	live := s.live(t, "cats")
	var ended, unknown int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			err := s.End(b.answer.Session)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				ended++
			case errors.Is(err, siaran.ErrUnknownSession):
				unknown++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	stop()
	if ended != 1 || unknown != 4 {
		t.Errorf("ended %d times, unknown %d times", ended, unknown)
	}
	if state := live.State(); state.EndReason != siaran.EndStopped {
		t.Errorf("state is %+v", state)
	}
	if n := s.mux.count(); n != 0 {
		t.Errorf("%d entries are left in the mux", n)
	}
	if _, ok := s.Health("cats"); ok {
		t.Error("there is still a health of it")
	}
}

// count is how much the mux remembers.
func (m *mux) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, s := range m.names {
		s.mu.Lock()
		n += 1 + len(s.bound)
		s.mu.Unlock()
	}
	return n
}

func TestTakeover(t *testing.T) {
	s := start(t, nil)
	first := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	defer first.sendFrames()()
	live := s.live(t, "cats")
	layer := live.Video().Layers[0]

	other := newClient(t, clientOptions{video: webrtc.MimeTypeVP8})
	if _, err := s.Offer(context.Background(), "cats", "someone else", netip.Addr{},
		[]byte(other.offer())); !errors.Is(err, siaran.ErrStreamTaken) {
		t.Fatalf("another owner got %v", err)
	}

	second := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	testutil.Eventually(t, "the first session to be gone", func() bool {
		_, err := s.Session(first.answer.Session)
		return errors.Is(err, siaran.ErrUnknownSession)
	})
	head := layer.Head()
	defer second.sendFrames()()
	testutil.Eventually(t, "the layer to go on", func() bool { return layer.Head() > head+30 })
	if err := s.End(first.answer.Session); !errors.Is(err, siaran.ErrUnknownSession) {
		t.Errorf("ending the session that was taken over: %v", err)
	}
	if state := live.State(); state.Status != siaran.StatusLive {
		t.Errorf("state is %+v", state)
	}
}

func TestHubEndsSession(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	defer b.sendFrames()()
	s.live(t, "cats")
	if err := s.hub.End("cats", siaran.EndByOwner); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the session to be gone", func() bool { return s.count() == 0 })
}

// TestHangUp holds pion to the log line by which a close_notify is known.
func TestHangUp(t *testing.T) {
	for _, role := range []string{"client", "server"} {
		t.Run("broadcaster is DTLS "+role, func(t *testing.T) {
			t.Parallel()
			// pion's own reader sometimes closes the path before the goodbye is written. Such a
			// broadcaster has not hung up, it has vanished: that is another test.
			for range 20 {
				if hangUpOnce(t, role) {
					return
				}
			}
			t.Error("the client never said goodbye")
		})
	}
}

// hangUpOnce reports whether the broadcaster has said close_notify at all.
func hangUpOnce(t *testing.T, role string) bool {
	var log lockedBuffer
	s := start(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	var goodbye atomic.Bool
	_, setting := onBadNetwork(t, func(b []byte) bool {
		if b[0] == 21 { // a DTLS alert (RFC 6347 section 4.1)
			goodbye.Store(true)
		}
		return false
	})
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, setting: setting, offer: func(sdp string) string {
		if role == "client" {
			return strings.ReplaceAll(sdp, "a=setup:actpass", "a=setup:active")
		}
		return sdp
	}})
	stop := b.sendFrames()
	live := s.live(t, "cats")
	stop()
	if err := b.pc.Close(); err != nil {
		t.Fatal(err)
	}
	if !goodbye.Load() {
		return false
	}
	testutil.Eventually(t, "the goodbye to be heard", func() bool { return s.mux.count() == 0 })
	if state := live.State(); state.Status != siaran.StatusInterrupted {
		t.Errorf("state is %+v", state)
	}
	// OBS sends its DELETE after that, and it counts.
	if err := s.End(b.answer.Session); err != nil {
		t.Error(err)
	}
	if state := live.State(); state.EndReason != siaran.EndStopped {
		t.Errorf("state is %+v", state)
	}
	if text := log.String(); !strings.Contains(text, errHungUp.Error()) {
		t.Errorf("it ended by silence and not by close_notify:\n%s", text)
	}
	return true
}

func TestBroadcasterVanishes(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.consent = 5 * time.Second })
	network, setting := onBadNetwork(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, setting: setting})
	defer b.sendFrames()()
	live := s.live(t, "cats")
	network.dead.Store(true)
	testutil.Eventually(t, "the broadcast to be interrupted", func() bool {
		return live.State().Status == siaran.StatusInterrupted
	})
	testutil.Eventually(t, "the session to be gone", func() bool { return s.count() == 0 && s.mux.count() == 0 })
	if err := s.End(b.answer.Session); !errors.Is(err, siaran.ErrUnknownSession) {
		t.Error(err)
	}
	testutil.Eventually(t, "the grace time to end", func() bool { return live.State().EndReason == siaran.EndVanished })
}

func TestSilenceInterrupts(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	stop := b.sendFrames()
	live := s.live(t, "cats")
	stop()
	testutil.Eventually(t, "the broadcast to be interrupted", func() bool {
		return live.State().Status == siaran.StatusInterrupted
	})
	if h, _ := s.Health("cats"); !h.Silent || len(h.Warnings) == 0 {
		t.Errorf("health is %+v", h)
	}
	defer b.sendFrames()()
	testutil.Eventually(t, "the broadcast to be live again",
		func() bool { return live.State().Status == siaran.StatusLive })
}

// hurry ends what has not been set up.
func (s *testServer) hurry() {
	limits := *s.limits.Load()
	limits.SetupTimeout = 100 * time.Millisecond
	s.SetLimits(limits)
}

func TestSetupDeadline(t *testing.T) {
	s := start(t, func(c *Config) { c.SetupTimeout = testutil.Patience })
	silent := newClient(t, clientOptions{video: webrtc.MimeTypeVP8})
	if _, err := s.Offer(context.Background(), "dogs", "owner", netip.Addr{}, []byte(silent.offer())); err != nil {
		t.Fatal(err)
	}
	publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	s.hurry()
	testutil.Eventually(t, "the sessions without connection and without media to be gone", func() bool {
		return s.count() == 0 && s.mux.count() == 0
	})
}

func TestManyOffersThatNeverConnect(t *testing.T) {
	s := start(t, func(c *Config) { c.SetupTimeout = time.Hour; c.MaxSessions = 40 })
	text := []byte(readOffer(t, "whip-obs-shaped"))
	taken, refused := 0, 0
	for i := range 200 {
		_, err := s.Offer(context.Background(), siaran.StreamName(fmt.Sprintf("junk%d", i)), "owner", netip.Addr{}, text)
		switch {
		case err == nil:
			taken++
		case errors.Is(err, siaran.ErrTooManySessions):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if taken != s.limits.Load().settingUp() {
		t.Errorf("%d were taken, %d refused", taken, refused)
	}
}

// TestOffersThatNeverConnectEnd: their places are free again.
func TestOffersThatNeverConnectEnd(t *testing.T) {
	s := start(t, func(c *Config) { c.SetupTimeout = 20 * time.Millisecond; c.MaxSessions = 4 })
	text := []byte(readOffer(t, "whip-obs-shaped"))
	for range 10 {
		if _, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, text); err != nil {
			t.Fatal(err)
		}
		testutil.Eventually(t, "it is gone", func() bool { return s.count() == 0 && s.mux.count() == 0 })
	}
}

func TestReconnectWhenFull(t *testing.T) {
	s := start(t, func(c *Config) { c.MaxSessions = 1 })
	publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	other := newClient(t, clientOptions{video: webrtc.MimeTypeVP8})
	if _, err := s.Offer(context.Background(), "dogs", "owner", netip.Addr{}, []byte(other.offer())); !errors.Is(err,
		siaran.ErrTooManySessions) {
		t.Errorf("another stream got %v", err)
	}
	publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8}) // takes over
}

func TestClosedServer(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	stop := b.sendFrames()
	live := s.live(t, "cats")
	stop()
	s.Close()
	if state := live.State(); state.Status != siaran.StatusInterrupted {
		t.Errorf("state is %+v", state)
	}
	if _, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{},
		[]byte(readOffer(t, "whip-obs-shaped"))); !errors.Is(err, siaran.ErrClosed) {
		t.Errorf("an offer got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	if _, err := New(hub, Config{}); err == nil {
		t.Error("nothing is given and nothing is missed")
	}
	s := start(t, nil)
	bad := s.cfg
	bad.MaxLayers = -1
	if _, err := New(hub, bad); err == nil {
		t.Error("no broadcast has fewer layers than none")
	}
}

// TestHandshakeDeadline has a broadcaster that passes ICE and never says a word of DTLS.
func TestHandshakeDeadline(t *testing.T) {
	for _, role := range []string{"active", "passive"} {
		t.Run(role, func(t *testing.T) {
			s := start(t, func(c *Config) { c.SetupTimeout = testutil.Patience })
			_, setting := onBadNetwork(t, func(b []byte) bool { return b[0] >= 20 && b[0] < 64 })
			client := newClient(t, clientOptions{video: webrtc.MimeTypeVP8, setting: setting})
			paired := make(chan struct{}, 1)
			client.pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
				if state == webrtc.ICEConnectionStateConnected {
					poke(paired)
				}
			})
			offer := strings.ReplaceAll(client.offer(), "a=setup:actpass", "a=setup:"+role)
			answer, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, []byte(offer))
			if err != nil {
				t.Fatal(err)
			}
			if err := client.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer,
				SDP: string(answer.SDP)}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-paired:
			case <-time.After(testutil.Patience):
				t.Fatal("the client found no path")
			}
			s.hurry()
			testutil.Eventually(t, "the session to be gone", func() bool { return s.count() == 0 && s.mux.count() == 0 })
		})
	}
}

// TestReportsAboutTooManySources has a broadcaster that makes pion keep state for each.
func TestReportsAboutTooManySources(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	ssrc := uint32(0)
	testutil.Eventually(t, "the end of the session", func() bool {
		for range 20 {
			ssrc++
			_ = b.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}}) // fails after the end
		}
		return s.count() == 0
	})
}

// TestShareOfOneSource: one address cannot take the places of all other broadcasters, even with good tokens for many
// streams.
func TestShareOfOneSource(t *testing.T) {
	s := start(t, func(c *Config) { c.SetupTimeout = time.Hour; c.MaxSessions = 200 })
	text := []byte(readOffer(t, "whip-obs-shaped"))
	streams := 0
	var open []siaran.SessionID
	taken := func(from string) int {
		t.Helper()
		for n := range 60 {
			streams++
			name := siaran.StreamName(fmt.Sprintf("junk%d", streams))
			answer, err := s.Offer(context.Background(), name, "owner", netip.MustParseAddr(from), text)
			open = append(open, answer.Session)
			if errors.Is(err, siaran.ErrShare) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return 60
	}
	if n := taken("192.0.2.1"); n != s.limits.Load().settingUp()/4 {
		t.Errorf("%d of %d places are one address's", n, s.limits.Load().settingUp())
	}
	if n := taken("192.0.2.2") + taken("192.0.2.3"); n > s.limits.Load().settingUp()/2-s.limits.Load().settingUp()/4 {
		t.Errorf("its network has %d more", n)
	}
	if n := taken("198.51.100.1"); n == 0 {
		t.Error("another network has none")
	}
	for _, id := range open {
		_ = s.End(id) // those that were refused have no session
	}
	testutil.Eventually(t, "all to be gone", func() bool { return s.count() == 0 })
	if n := taken("192.0.2.1"); n == 0 || len(s.openers) != 0 {
		t.Errorf("later: %d, and %v are opening", n, s.openers)
	}
}
