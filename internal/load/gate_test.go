package load

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var marks = Marks{Processor: 0.8, Bits: 1_000_000}

// second is what happens in one: the share of the processors that is used, the share of the time for which workers are
// late, datagrams of 1250 bytes and stuck ones.
type second struct {
	processor            float64
	late                 float64
	strange              float64 // the share of what is used that is not for media
	datagrams, stuck     uint64
	processors, duration float64 // 0: two processors, one second
}

// after is the reading a second later.
func (s second) after(r Reading) Reading {
	took := time.Duration(float64(time.Second) * max(s.duration, 0))
	if s.duration == 0 {
		took = time.Second
	}
	if r.Processors = s.processors; r.Processors == 0 {
		r.Processors = 2
	}
	r.At = r.At.Add(took)
	used := float64(took) * s.processor * r.Processors
	r.Processor += time.Duration(used)
	r.Media += time.Duration(used * (1 - s.strange))
	r.Workers = 2
	r.Behind += time.Duration(float64(2*took) * s.late)
	r.Packets, r.Bytes = r.Packets+s.datagrams, r.Bytes+s.datagrams*(1250-headers)
	r.Datagrams, r.Stuck = r.Datagrams+s.datagrams, r.Stuck+s.stuck
	return r
}

// TestGate: what closes a server, what does not, and what opens it again. Each letter of a series is a second; the
// marks below say whether the server is open (.), closed to viewers (v) or to children too (c) after it.
func TestGate(t *testing.T) {
	kinds := map[rune]second{
		' ': {processor: 0.3, datagrams: 50},
		'b': {processor: 0.85, datagrams: 50},               // busy
		'B': {processor: 0.95, datagrams: 50},               // very busy
		'f': {processor: 0.95, strange: 0.8, datagrams: 50}, // a flood of requests
		'-': {processor: 0.75, datagrams: 50},               // between the two marks
		'l': {processor: 0.3, late: 0.12, datagrams: 50},    // late
		'L': {processor: 0.3, late: 0.9, datagrams: 50},     // very late
		'p': {processor: 0.3, late: 0.06, datagrams: 50},    // one pause, as of garbage collection
		'n': {processor: 0.3, datagrams: 95},                // the network's share for viewers is full
		'N': {processor: 0.3, datagrams: 120},               // all of it
		's': {processor: 0.3, datagrams: 50, stuck: 1},      // the system has no room
		'S': {processor: 0.3, datagrams: 50, stuck: 10},     // hardly ever
		'0': {},
	}
	for _, tc := range []struct{ name, series, want string }{
		{"idle", "0000000000", ".........."},
		{"two bad seconds", " bB     bb      ", "................"},
		{"every other second", "b b b b b b     ", "....vvvvvvvvvvv."},
		{"every third", "b  b  b  b  b  ", "..............."},
		{"four busy seconds", " BBBB       ", "...cccccc..."},
		{"busy", "bbbbbbbb      ", "..vvvvvvvvvv.."},
		{"between the marks stays as it is", "-----bbb--------- - - - - -", ".......vvvvvvvvvvvvvvvvvvvv"},
		{"strangers", "ffffffff", "........"},
		{"strangers keep it closed for no longer", "bbbfffff", "..vvvvv."},
		{"children too", "bbbBBBbbb         ", "..vvvcccccccc....."},
		{"late", "lll        ", "..vvvvv...."},
		{"very late", "LLL       ", "..ccccc..."},
		{"pauses", "ppppppppp", "........."},
		{"network", "nnnn       ", "..vvvvvv..."},
		{"all of the network", "NNNN     ", "..cccccc."},
		{"buffers", "ssss     ", "..vvvvvv."},
		{"no buffers", "SSSS     ", "..cccccc."},
		{"in turn", "bls      ", "..vvvvv.."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var g gate
			r := Reading{At: time.Unix(1000, 0), Processor: time.Hour, Behind: time.Hour}
			g.read(r, marks)
			var got strings.Builder
			for _, kind := range tc.series {
				r = kinds[kind].after(r)
				s := g.read(r, marks)
				switch {
				case s.Children != "":
					got.WriteByte('c')
				case s.Viewers != "":
					got.WriteByte('v')
				default:
					got.WriteByte('.')
				}
				if (s.Use == 1) != (s.Viewers != "") || s.Use < 0 || s.Use > 1 || s.Children != "" && s.Viewers == "" {
					t.Errorf("%+v", s)
				}
			}
			if got.String() != tc.want {
				t.Errorf("%q\n is %q\nnot %q", tc.series, got.String(), tc.want)
			}
		})
	}
}

// TestFills: what each second is held against, whatever its length, and what is not measured closes nothing.
func TestFills(t *testing.T) {
	start := Reading{At: time.Unix(1000, 0), Processor: time.Second}
	busy := second{processor: 0.4, late: 0.2, datagrams: 45, stuck: 9}
	for _, tc := range []struct {
		name  string
		s     second
		m     Marks
		blind bool // the system does not tell about processors
		want  map[Cause]float64
	}{
		{"all", busy, marks, false, map[Cause]float64{Processor: 0.5, Late: 2, Network: 0.5, Buffers: 20}},
		{"in ten seconds", second{processor: 0.4, datagrams: 450, duration: 10}, marks, false,
			map[Cause]float64{Processor: 0.5, Network: 0.5}},
		{"half a processor", second{processor: 0.4, processors: 0.5}, marks, false, map[Cause]float64{Processor: 0.5}},
		{"another system", busy, marks, true, map[Cause]float64{Late: 2, Network: 0.5, Buffers: 20}},
		{"nothing is limited", busy, Marks{}, false, nil},
		{"only the network", busy, Marks{Bits: 1_000_000}, false, map[Cause]float64{Network: 0.5}},
	} {
		next := tc.s.after(start)
		if tc.blind {
			next.Processor = 0
		}
		got, _ := fills(start, next, next.At.Sub(start.At).Seconds(), tc.m)
		for _, c := range Causes {
			if d := got[c] - tc.want[c]; d < -1e-6 || d > 1e-6 {
				t.Errorf("%s: %s is %v, want %v", tc.name, c, got[c], tc.want[c])
			}
		}
	}
	var g gate
	g.read(start, marks)
	if s := g.read(start, marks); s.Use != 0 || s.Viewers != "" {
		t.Errorf("two readings at once: %+v", s)
	}
}

// TestHerd: 900 viewers come to a server of one processor at once. Joins cost it a processor's whole time; that must
// neither close it for long at a time, nor keep anybody out that there is room for.
func TestHerd(t *testing.T) {
	const joinCost, watchCost, joins = 0.01, 0.0007, 100 // seconds of processor time; joins in a second
	rng := rand.New(rand.NewPCG(1, 2))
	var g gate
	r := Reading{At: time.Unix(1000, 0), Processor: 1}
	g.read(r, marks)
	waiting := map[int]int{0: 900} // by when they come
	var state State
	viewers, closedFor, closedInAll := 0, 0, 0
	for now := range 180 {
		let := 0
		for range waiting[now] {
			switch {
			case state.Viewers != "":
				waiting[now+5+rng.IntN(11)]++
			case let == joins:
				waiting[now+1+rng.IntN(4)]++
			default:
				let++
			}
		}
		delete(waiting, now)
		viewers += let
		used := min(float64(let)*joinCost+float64(viewers)*watchCost, 1)
		r = second{processor: used, processors: 1}.after(r)
		if state = g.read(r, marks); state.Viewers == "" {
			closedFor = 0
			continue
		}
		closedInAll++
		if closedFor++; closedFor > 10 {
			t.Fatalf("closed for %d s, with %d viewers, after %d s", closedFor, viewers, now)
		}
	}
	t.Logf("closed for %d s in all", closedInAll)
	if viewers != 900 || closedInAll > 60 {
		t.Errorf("%d are in, and it was closed for %d s", viewers, closedInAll)
	}
}

// TestMonitor: once a second it looks, says at once that it has closed, and does not fill the log.
func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := NewMonitor(marks, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var changes atomic.Int64
		var busy atomic.Bool
		r := Reading{At: time.Now(), Processor: 1}
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.Run(ctx, func() Reading {
				r = second{processor: map[bool]float64{true: 1}[busy.Load()]}.after(r)
				return r
			}, func() { changes.Add(1) })
		}()
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		wait(2500 * time.Millisecond)
		for i := range int64(20) {
			busy.Store(true)
			wait(3 * time.Second)
			if s := m.State(); s.Viewers != Processor || changes.Load() != 2*i+1 {
				t.Fatalf("%+v after %d changes", s, changes.Load())
			}
			busy.Store(false)
			wait(5 * time.Second)
			if s := m.State(); s.Viewers != "" || changes.Load() != 2*i+2 {
				t.Fatalf("%+v after %d changes", s, changes.Load())
			}
		}
		m.SetMarks(Marks{})
		busy.Store(true)
		wait(10 * time.Second)
		if s := m.State(); s.Viewers != "" {
			t.Errorf("%+v without marks", s)
		}
		cancel()
		<-done
		if n := strings.Count(log.String(), "\n"); n < 2 || n > 6 || !strings.Contains(log.String(), "cause=processor") {
			t.Errorf("%d lines in 160 s:\n%s", n, log.String())
		}
	})
}

// TestQuota reads the limits of a container, of systemd's CPUQuota, and junk.
func TestQuota(t *testing.T) {
	for _, tc := range []struct {
		name, self string
		files      map[string]string
		want       float64
	}{
		{"no groups", "", nil, unlimited},
		{"no limit", "0::/\n", map[string]string{"cpu.max": "max 100000\n"}, unlimited},
		{"a container", "0::/\n", map[string]string{"cpu.max": "150000 100000\n"}, 1.5},
		{"systemd", "1:name=x:/y\n0::/system.slice/siaran.service\n",
			map[string]string{"system.slice/siaran.service/cpu.max": "50000 100000", "system.slice/cpu.max": "max 100000"}, 0.5},
		{"a group above", "0::/a/b\n", map[string]string{"a/cpu.max": "200000 100000", "a/b/cpu.max": "400000 100000"}, 2},
		{"a name that leads out", "0::/../../a\n", map[string]string{"a/cpu.max": "100000 100000"}, 1},
		{"junk", "0::/\n", map[string]string{"cpu.max": "-1 x"}, unlimited},
		{"zero", "0::/\n", map[string]string{"cpu.max": "0 0"}, unlimited},
		{"empty", "0::/\n", map[string]string{"cpu.max": ""}, unlimited},
	} {
		root := t.TempDir()
		self := filepath.Join(root, "self")
		writeAll := map[string]string{"../self": tc.self}
		maps.Copy(writeAll, tc.files)
		for name, text := range writeAll {
			name = filepath.Join(root, "groups", name)
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := quota(filepath.Join(root, "groups"), self); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	if n := Processors(); n <= 0 || n > 4096 {
		t.Errorf("%v processors", n)
	}
	if runtime.GOOS == "linux" && Used() == 0 {
		t.Error("Linux tells how much of the processor is used")
	}
}

// BenchmarkReading is what a look each second costs, without the counters of the server.
func BenchmarkReading(b *testing.B) {
	m := NewMonitor(marks, slog.New(slog.DiscardHandler))
	r := Reading{At: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		r = second{}.after(r)
		r.Processor, r.Processors = Used(), Processors()
		m.step(r, func() {})
	}
}
