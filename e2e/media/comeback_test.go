package media

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/demo"
	"siaran/internal/publish"
	"siaran/internal/testutil"
	"siaran/internal/whep"
	"siaran/internal/whip"
	"siaran/listing/sqlite"
)

// serveAgain runs siaran serve in a process of its own, at an address that stays.
func serveAgain(t testing.TB, address, dir string, flags ...string) *harness.Process {
	t.Helper()
	args := append([]string{
		"serve", "--listen=" + address, "--udp=127.0.0.1:0", "--tcp=", "--turn=", "--node=test", "--source-share=100",
		"--data", dir,
	}, flags...)
	return harness.StartCommand(t, exec.Command(harness.Command(t), args...))
}

// faithful is a viewer that comes back as our pages do: soon, by chance, and until it is there.
type faithful struct {
	playing atomic.Bool
	since   atomic.Int64 // when it began to play, in nanoseconds since 1970
	opened  atomic.Int64 // sessions
}

func (f *faithful) run(ctx context.Context, url string) {
	for ctx.Err() == nil {
		s, err := whep.Dial(ctx, whep.Config{URL: url, Packet: func(webrtc.RTPCodecType, *rtp.Packet) {
			if f.playing.CompareAndSwap(false, true) {
				f.since.Store(time.Now().UnixNano())
			}
		}})
		if err == nil {
			f.opened.Add(1)
			select {
			case <-s.Lost():
				f.playing.Store(false)
				_ = s.Abandon() // it is lost anyway
			case <-ctx.Done():
				_ = s.Abandon()
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(500*time.Millisecond + time.Duration(f.opened.Load()*100)%500*time.Millisecond):
		}
	}
}

// audience is a broadcaster and viewers that come back by themselves.
type audience struct {
	viewers []*faithful
	stop    func()
}

func gather(t testing.TB, p *harness.Process, viewers int) *audience {
	t.Helper()
	clip, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	a := &audience{stop: func() { cancel(); running.Wait() }}
	t.Cleanup(a.stop)
	running.Go(func() {
		cfg := whip.Config{URL: p.WHIP(harness.Cats), Token: p.Admin}
		_ = publish.Clip(ctx, cfg, clip, publish.Options{Loop: true}, slog.New(slog.DiscardHandler)) // ctx ends it
	})
	waitStatus(t, p, "live")
	for range viewers {
		f := &faithful{}
		a.viewers = append(a.viewers, f)
		running.Go(func() { f.run(ctx, p.WHEP(harness.Cats)) })
	}
	a.waitPlaying(t, 1)
	return a
}

// waitPlaying waits until everybody plays in their nth session.
func (a *audience) waitPlaying(t testing.TB, nth int64) {
	t.Helper()
	harness.Eventually(t, "everybody plays", func() bool {
		return !slices.ContainsFunc(a.viewers, func(f *faithful) bool {
			return !f.playing.Load() || f.opened.Load() < nth
		})
	})
}

func waitStatus(t testing.TB, p *harness.Process, status string) (s harness.Stream) {
	t.Helper()
	harness.Eventually(t, "the stream is "+status, func() bool {
		s = harness.Stream{}
		p.Decode(t, "/api/streams/cats", &s)
		return s.Status == status
	})
	return s
}

// history is what the list has of the stream's broadcasts.
func history(t testing.TB, dir string) int {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, server.ListingFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	list, err := db.Broadcasts(t.Context(), harness.Cats, 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestEverybodyComesBack: a server is ended, and one that runs is killed, while people watch. After the next start
// everybody is there again, in the same broadcast.
func TestEverybodyComesBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	address := testutil.FreeAddress(t)
	p := serveAgain(t, address, dir)
	a := gather(t, p, 3)
	began := waitStatus(t, p, "live").StartedAt
	for i, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.Cmd.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		_ = p.Cmd.Wait() // it says so if it was killed
		p = serveAgain(t, address, dir)
		a.waitPlaying(t, int64(i)+2)
		if s := waitStatus(t, p, "live"); s.StartedAt != began {
			t.Errorf("after %v the stream is live since %s, not %s", end, s.StartedAt, began)
		}
	}
	if n := history(t, dir); n != 1 {
		t.Errorf("there are %d broadcasts", n)
	}
}

// TestNobodyIsTurnedAway: while the broadcaster is still away, viewers are asked to come again, and others cannot take
// the stream.
func TestNobodyIsTurnedAway(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	address := testutil.FreeAddress(t)
	p := serveAgain(t, address, dir)
	b := p.Broadcast(t, harness.Cats, p.Admin, harness.TwoMinutes)
	harness.Eventually(t, "it is written down that the stream is live", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, server.LastLiveFile))
		return err == nil && strings.Contains(string(text), "cats")
	})
	b.Vanish()
	p.Kill(t)
	p = serveAgain(t, address, dir, "--grace=10m")
	if s := waitStatus(t, p, "interrupted"); s.Name != "cats" {
		t.Errorf("%+v", s)
	}
	_, err := p.TryWatch(t, harness.Cats)
	if !harness.Refused(err, http.StatusServiceUnavailable) {
		t.Errorf("a viewer gets %v", err)
	}
	if status := p.Call(t, http.MethodDelete, "/api/streams/cats/broadcast", p.Admin, ""); status/100 != 2 {
		t.Errorf("ending it: %d", status)
	}
	waitStatus(t, p, "offline")
}

// BenchmarkRestart measures how long after a start everybody plays again: of a server that has said goodbye to them,
// and of one that was killed, whose viewers notice when ICE does.
func BenchmarkRestart(b *testing.B) {
	for _, c := range []struct {
		name    string
		end     syscall.Signal
		viewers int
	}{{"ended", syscall.SIGTERM, 50}, {"killed", syscall.SIGKILL, 200}} {
		b.Run(c.name, func(b *testing.B) { benchRestart(b, c.end, c.viewers) })
	}
}

func benchRestart(b *testing.B, end syscall.Signal, viewers int) {
	dir := filepath.Join(b.TempDir(), "data")
	address := testutil.FreeAddress(b)
	p := serveAgain(b, address, dir)
	a := gather(b, p, viewers)
	var took []time.Duration
	var nth int64 = 1
	for b.Loop() {
		nth++
		if err := p.Cmd.Process.Signal(end); err != nil {
			b.Fatal(err)
		}
		_ = p.Cmd.Wait()
		opened := make(chan time.Time, 1)
		go func() { opened <- portOpen(address) }()
		p = serveAgain(b, address, dir)
		at := <-opened
		a.waitPlaying(b, nth)
		for _, f := range a.viewers {
			took = append(took, time.Unix(0, f.since.Load()).Sub(at))
		}
	}
	a.stop()
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds(), "s-p50")
	b.ReportMetric(took[len(took)*95/100].Seconds(), "s-p95")
	b.ReportMetric(float64(history(b, dir)), "broadcasts")
}

// portOpen waits until something listens at the address.
func portOpen(address string) time.Time {
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
}
