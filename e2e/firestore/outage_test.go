package firestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/e2e/harness"
	"siaran/internal/whep"
	"siaran/internal/whip"
	"siaran/listing/firestore/emulator"
)

const (
	outageTime    = 8 * time.Second // of each phase, unless SIARAN_TEST_OUTAGE says otherwise
	outageViewers = 12              // who stay
	churnPause    = 300 * time.Millisecond
)

// TestFirestoreIsAway in the middle of a broadcast, first without answers, then without a connection, while viewers
// come and go. Those who watch do not notice. After each time the documents soon equal the truth, also where all of
// them were lost.
func TestFirestoreIsAway(t *testing.T) {
	phase := outageTime
	if text := os.Getenv("SIARAN_TEST_OUTAGE"); text != "" {
		var err error
		if phase, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	database := emulator.New(t)
	on, project := harness.UseFirestoreAt(t, database.Host)
	s := harness.Start(t, on("origin"))
	harness.Eventually(t, "the emulator has started", func() bool {
		return s.Call(t, http.MethodGet, "/api/streams/nobody", s.Admin, "") == http.StatusNotFound
	})
	broadcastStamped(t, s)
	probe := &probe{}
	for range outageViewers {
		s.Watch(t, harness.Cats, func(c *whep.Config) { c.Packet = probe.packet })
	}
	churn := &churn{s: s}
	truth := func() int { return outageViewers + churn.staying() }
	calm := func(t *testing.T, what string) {
		t.Helper()
		begun := time.Now()
		read := readDirectly(t, project)
		defer func() {
			if t.Failed() {
				t.Logf("%d watch; the documents say: live %v, counted %v, %d viewers; the server lists %d", truth(), read.live(),
					read.counts(), read.watching(), len(s.Viewers(t, harness.Cats)))
			}
		}()
		harness.Eventually(t, "the documents equal the truth "+what, func() bool {
			return slices.Equal(read.live(), []string{string(harness.Cats)}) && read.counts()[string(harness.Cats)] == truth() &&
				read.watching() == truth() && len(s.Viewers(t, harness.Cats)) == truth()
		})
		t.Logf("%s the documents equal the truth after %v", what, time.Since(begun))
	}
	calm(t, "in the beginning")

	before := churn.run(t, probe, phase)
	t.Logf("before: %v", before)
	for _, away := range []struct {
		what     string
		off, on  func()
		promised string
	}{
		{"hangs", database.Pause, database.Resume, "after a time without answers"},
		{"is stopped", database.Stop, database.Restart, "after a time without the database, which has lost everything,"},
	} {
		t.Run(away.what, func(t *testing.T) {
			away.off()
			during := churn.run(t, probe, phase)
			t.Logf("while Firestore %s: %v", away.what, during)
			// Other work on the machine causes delays too; waiting for the listing would cost many seconds.
			if limit := 3*before.media + 4*time.Second; during.media > limit {
				t.Errorf("while Firestore %s the 99th percentile of delays is %v, and %v before", away.what, during.media,
					before.media)
			}
			if during.joins > 3*before.joins+4*time.Second {
				t.Errorf("while Firestore %s viewers take %v to join, and %v before", away.what, during.joins, before.joins)
			}
			away.on()
			calm(t, away.promised)
		})
	}
}

// felt is what people feel: the 99th percentile of the time of sounds on their way, and the longest that a viewer took
// to join.
type felt struct{ media, joins time.Duration }

func (f felt) String() string {
	return fmt.Sprintf("99 of 100 sounds take %v at most, joining %v", f.media, f.joins)
}

// churn has viewers come and go. Some of them stay.
type churn struct {
	s       *harness.Server
	present []*harness.Viewer
	stay    int
}

func (c *churn) staying() int { return c.stay }

func (c *churn) run(t *testing.T, p *probe, phase time.Duration) (f felt) {
	t.Helper()
	p.begin()
	tick := time.NewTicker(churnPause)
	defer tick.Stop()
	for n, end := 0, time.Now().Add(phase); time.Now().Before(end); n++ {
		v := c.s.Watch(c.s.Logs.T, harness.Cats) // stays beyond a part of the test
		f.joins = max(f.joins, time.Since(v.OfferedAt))
		if n%3 == 0 && n < 30 {
			c.stay++
		} else {
			c.present = append(c.present, v)
		}
		if len(c.present) > 3 {
			c.present[0].Leave()
			c.present = c.present[1:]
		}
		<-tick.C
	}
	for _, v := range c.present {
		v.Leave()
	}
	c.present = nil
	f.media = p.p99()
	return f
}

// probe takes the time that sounds are on their way.
type probe struct {
	mu    sync.Mutex
	times []time.Duration
}

func (p *probe) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times = nil
}

func (p *probe) p99() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return of100(99, p.times)
}

// packet is called for each packet that a viewer receives.
func (p *probe) packet(kind webrtc.RTPCodecType, packet *rtp.Packet) {
	if kind != webrtc.RTPCodecTypeAudio || len(packet.Payload) < 9 {
		return
	}
	sent := time.Unix(0, int64(binary.BigEndian.Uint64(packet.Payload[1:])))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times = append(p.times, time.Since(sent))
}

// broadcastStamped broadcasts sounds with the time of sending in them, and pictures.
func broadcastStamped(t *testing.T, s *harness.Server) {
	t.Helper()
	session, err := whip.Dial(t.Context(), whip.Config{URL: s.WHIP(siaran.StreamName(harness.Cats)), Token: s.Admin,
		Tracks: harness.Tracks})
	if err != nil {
		t.Fatal(err)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(harness.AudioInterval)
		defer tick.Stop()
		for n := 0; ; n++ {
			at := time.Duration(n) * harness.AudioInterval
			stamp := binary.BigEndian.AppendUint64([]byte{0xfc}, uint64(time.Now().UnixNano()))
			if session.Write(1, append(stamp, make([]byte, 60)...), at) != nil {
				return
			}
			if n%2 == 0 && session.Write(0, harness.VideoFrame(n/2, n%50 == 0, 5000), at) != nil {
				return
			}
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() {
		close(end)
		<-ended
		if err := session.Close(context.Background()); err != nil {
			t.Logf("the broadcaster leaves: %v", err)
		}
	})
	harness.Eventually(t, "live", func() bool { return s.Stream(t, harness.Cats).Status == "live" })
}
