package egress_test

import (
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"siaran/internal/testutil"

	"github.com/pion/dtls/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran"
)

// lossyConn loses media packets on their way to a viewer: a share of them, or all beyond a rate.
type lossyConn struct {
	net.PacketConn
	percent atomic.Int32
	rate    atomic.Int32 // bytes a second; 0: any

	tokens float64 // the reader's
	last   time.Time
}

func (c *lossyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		media := n > 200 && b[0] >= 128 && b[0] <= 191
		if err != nil || !media || rand.Int32N(100) >= c.percent.Load() && c.fits(n) {
			return n, from, err
		}
	}
}

func (c *lossyConn) fits(n int) bool {
	rate, now := float64(c.rate.Load()), time.Now()
	if rate == 0 {
		return true
	}
	c.tokens = min(rate/4, c.tokens+now.Sub(c.last).Seconds()*rate)
	c.last = now
	if c.tokens < float64(n) {
		return false
	}
	c.tokens -= float64(n)
	return true
}

func lossySettings(t testing.TB, percent, rate int32) (webrtc.SettingEngine, *lossyConn) {
	t.Helper()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn := &lossyConn{PacketConn: udp}
	conn.percent.Store(percent)
	conn.rate.Store(rate)
	mux := webrtc.NewICEUDPMux(nil, conn)
	var settings webrtc.SettingEngine
	settings.SetICEUDPMux(mux)
	t.Cleanup(func() { mux.Close() })
	return settings, conn
}

// collect reads what comes, in the order of sequence numbers, until n have come without a gap.
func collect(t *testing.T, v *peer, n int) []*rtp.Packet {
	t.Helper()
	var got []*rtp.Packet
	deadline := time.After(testutil.Patience)
	for {
		select {
		case p := <-v.video:
			got = append(got, p)
		case <-deadline:
			t.Fatalf("%d of %d packets without a gap", whole(got), n)
		}
		got = ordered(got)
		if len(got) >= n && whole(got) >= n {
			return got[:n]
		}
	}
}

// ordered sorts packets and takes out those that came twice.
func ordered(got []*rtp.Packet) []*rtp.Packet {
	slices.SortFunc(got, func(a, b *rtp.Packet) int { return int(int16(a.SequenceNumber - b.SequenceNumber)) })
	return slices.CompactFunc(got, func(a, b *rtp.Packet) bool { return a.SequenceNumber == b.SequenceNumber })
}

// whole counts the packets before the first gap.
func whole(got []*rtp.Packet) int {
	for i := 1; i < len(got); i++ {
		if got[i].SequenceNumber != got[i-1].SequenceNumber+1 {
			return i
		}
	}
	return len(got)
}

func TestLossIsRepaired(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 10)
	settings, _ := lossySettings(t, 5, 0)
	v := watch(t, s, settings)
	stop := s.play(0, 4)
	defer stop()
	var first uint32 // the very first may be lost, and the viewer cannot notice that
	for i, p := range collect(t, v, 600) {
		if i == 0 {
			first = number(p)
		}
		if number(p) != first+uint32(i) {
			t.Fatalf("packet %d carries %d, want %d", i, number(p), first+uint32(i))
		}
	}
	if st := s.server.Stats(); st.Repaired == 0 {
		t.Errorf("nothing was repaired: %+v", st)
	}
}

// A path of 300 kbit/s for a stream of 1.6 Mbit/s.
func TestViewerInTroubleHarmsNobody(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 4)
	settings, conn := lossySettings(t, 0, 300_000/8)
	bad := watch(t, s, settings)
	good := watch(t, s, webrtc.SettingEngine{})
	stop := s.play(25, 4)
	defer stop()

	var last *rtp.Packet
	for range 1000 {
		p := good.next(good.video)
		if last != nil && p.SequenceNumber != last.SequenceNumber+1 {
			t.Fatalf("the good viewer lost packets: %d after %d", p.SequenceNumber, last.SequenceNumber)
		}
		last = p
	}
	// Before long it is sent less: only key frames, and little that is repaired.
	for window := 0; ; window++ {
		const packets = 300
		before := s.server.Stats().Packets
		for range packets {
			good.next(good.video)
		}
		if sent := s.server.Stats().Packets - before; sent < packets*8/5 {
			break
		} else if window == 10 {
			t.Fatalf("still %d packets went to both while one got %d of video", sent, packets)
		}
	}
	// Its path recovers: whole frames come again.
	conn.rate.Store(0)
	for len(bad.video) > 0 {
		<-bad.video
	}
	run := 0
	for previous := bad.next(bad.video); run < 200; run++ {
		p := bad.next(bad.video)
		if p.SequenceNumber != previous.SequenceNumber+1 {
			run = 0
		}
		previous = p
	}
}

func TestTakeoverIsContinuous(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	v := watch(t, s, webrtc.SettingEngine{})
	for range 20 {
		s.frame(false, 2)
	}
	var last *rtp.Packet
	for range 42 {
		last = v.next(v.video)
	}
	old := s.pub
	s.seq, s.time = 17, 1<<31 // another encoder counts from elsewhere
	s.publish(siaran.VP8)
	<-old.Done()
	if old.Err() == nil {
		t.Error("the old publication does not know that it was taken over")
	}
	s.frame(false, 2) // held back: not decodable
	s.frame(true, 2)
	for i := range 2 {
		p := v.next(v.video)
		if p.SSRC != last.SSRC || p.SequenceNumber != last.SequenceNumber+1 || number(p) != 19+uint32(i) {
			t.Fatalf("after the takeover: ssrc %d, number %d, carries %d; before it ssrc %d, number %d",
				p.SSRC, p.SequenceNumber, number(p), last.SSRC, last.SequenceNumber)
		}
		if step := int32(p.Timestamp - last.Timestamp); i == 0 && (step <= 0 || step > 10*90_000) {
			t.Fatalf("the timestamp moved by %d", step)
		}
		last = p
	}
}

// A viewer that wants to be the DTLS server, as FFmpeg does.
func TestPassiveViewer(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 3)
	stop := s.play(10, 2)
	defer stop()
	v := watchWith(t, s, webrtc.SettingEngine{}, func(offer string) string {
		return strings.ReplaceAll(offer, "setup:actpass", "setup:passive")
	})
	v.waitState(webrtc.PeerConnectionStateConnected)
	for range 20 {
		v.next(v.video)
	}
	b, err := s.hub.Broadcast(stream)
	if err != nil {
		t.Fatal(err)
	}
	v.close()
	testutil.Eventually(t, "the viewer that left is still counted", func() bool { return b.State().Viewers == 0 })
}

// Viewers of each cipher.
func TestCiphers(t *testing.T) {
	for name, settings := range map[string]func(*webrtc.SettingEngine){
		"GCM-128": func(e *webrtc.SettingEngine) {
			e.SetSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM)
		},
		"GCM-256": func(e *webrtc.SettingEngine) { e.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM) },
		"CM only": func(e *webrtc.SettingEngine) { e.SetSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, siaran.VP8)
			s.frame(true, 3)
			stop := s.play(10, 2)
			defer stop()
			var e webrtc.SettingEngine
			settings(&e)
			v := watch(t, s, e)
			v.waitState(webrtc.PeerConnectionStateConnected)
			for range 20 {
				v.next(v.video)
			}
		})
	}
}

// BenchmarkRepair measures what share of frames is whole in time for a viewer whose path loses 5 %.
func BenchmarkRepair(b *testing.B) {
	const losing, inTime = 5, 300 * time.Millisecond
	s := newStage(b, siaran.VP8)
	s.frame(true, 8)
	settings, _ := lossySettings(b, losing, 0)
	v := watch(b, s, settings)
	stop := s.play(100, 8)
	defer stop()
	type frame struct {
		first, whole time.Time
		packets      map[uint16]bool
	}
	frames := make(map[uint32]*frame)
	v.next(v.video)
	for b.Loop() {
		for end := time.After(5 * time.Second); ; {
			var p *rtp.Packet
			select {
			case p = <-v.video:
			case <-end:
			}
			if p == nil {
				break
			}
			f := frames[p.Timestamp]
			if f == nil {
				f = &frame{first: time.Now(), packets: make(map[uint16]bool)}
				frames[p.Timestamp] = f
			}
			if f.packets[p.SequenceNumber] = true; len(f.packets) == 8 && f.whole.IsZero() {
				f.whole = time.Now()
			}
		}
	}
	good, all := 0, 0
	for _, f := range frames {
		if time.Since(f.first) < time.Second { // may be on its way
			continue
		}
		all++
		if !f.whole.IsZero() && f.whole.Sub(f.first) <= inTime {
			good++
		}
	}
	b.ReportMetric(100*float64(good)/float64(all), "%whole")
	b.ReportMetric(float64(all), "frames")
}
