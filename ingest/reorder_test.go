package ingest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// collect gives what a reorder hands on.
type collect struct {
	seqs []int64
	t    testing.TB
}

func (c *collect) emit(p packet) {
	if p.arrival.IsZero() {
		c.t.Fatalf("packet %d was handed on and never put in", p.seq)
	}
	if n := len(c.seqs); n > 0 && p.seq <= c.seqs[n-1] {
		c.t.Fatalf("%d was handed on after %d", p.seq, c.seqs[n-1])
	}
	c.seqs = append(c.seqs, p.seq)
}

func TestReorder(t *testing.T) {
	epoch := time.Unix(1e9, 0)
	tests := map[string]struct {
		in   []int64
		want []int64 // before anything is given up on
		all  []int64 // after everything is
		lost uint64
	}{
		"in order":              {[]int64{5, 6, 7}, []int64{5, 6, 7}, []int64{5, 6, 7}, 0},
		"two swapped":           {[]int64{5, 7, 6, 8}, []int64{5, 6, 7, 8}, []int64{5, 6, 7, 8}, 0},
		"one missing":           {[]int64{5, 7, 8}, []int64{5}, []int64{5, 7, 8}, 1},
		"two holes, one mended": {[]int64{5, 7, 9, 6}, []int64{5, 6, 7}, []int64{5, 6, 7, 9}, 1},
		"later hole mended":     {[]int64{5, 7, 9, 8}, []int64{5}, []int64{5, 7, 8, 9}, 1},
		"duplicates":            {[]int64{5, 5, 7, 7, 6, 6, 5}, []int64{5, 6, 7}, []int64{5, 6, 7}, 0},
		"before the first":      {[]int64{5, 4, 6}, []int64{5, 6}, []int64{5, 6}, 0},
		"a hole too large":      {[]int64{5, 7, 1000, 1001}, []int64{5, 7, 1000, 1001}, []int64{5, 7, 1000, 1001}, 1 + 992},
		"below zero":            {[]int64{-3, -1, -2, 0}, []int64{-3, -2, -1, 0}, []int64{-3, -2, -1, 0}, 0},
	}
	for name, test := range tests {
		for _, base := range []int64{0, 65530, 1<<16 - 3, 1<<31 - 3} {
			c := collect{t: t}
			r := reorder{window: videoWindow}
			for _, seq := range test.in {
				r.put(packet{seq: base + seq, arrival: epoch}, c.emit)
			}
			check := func(what string, want []int64) {
				t.Helper()
				shifted := make([]int64, len(want))
				for i := range want {
					shifted[i] = want[i] + base
				}
				if !slices.Equal(c.seqs, shifted) {
					t.Errorf("%s, from %d: %s: got %v, want %v", name, base, what, c.seqs, shifted)
				}
			}
			check("at first", test.want)
			r.expire(epoch.Add(99*time.Millisecond), 100*time.Millisecond, time.Second, 0, c.emit)
			check("just before the wait is over", test.want)
			r.expire(epoch.Add(100*time.Millisecond), 100*time.Millisecond, time.Second, 0, c.emit)
			check("in the end", test.all)
			if r.lost != test.lost {
				t.Errorf("%s: %d lost, want %d", name, r.lost, test.lost)
			}
		}
	}
}

func TestReorderAsks(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1e9, 0).Add(time.Duration(ms) * time.Millisecond) }
	c := collect{t: t}
	r := reorder{window: videoWindow}
	r.put(packet{seq: 1, arrival: at(0)}, c.emit)
	r.put(packet{seq: 4, arrival: at(0)}, c.emit)
	ask := func(ms int) []int64 { return r.ask(nil, at(ms), 5*time.Millisecond, 20*time.Millisecond, 3) }
	for _, step := range []struct {
		ms   int
		want []int64
	}{{4, nil}, {5, []int64{2, 3}}, {24, nil}, {25, []int64{2, 3}}, {50, []int64{2, 3}}, {100, nil}} {
		if got := ask(step.ms); !slices.Equal(got, step.want) {
			t.Errorf("after %d ms asks for %v, want %v", step.ms, got, step.want)
		}
	}
	r.put(packet{seq: 9, arrival: at(101)}, c.emit)
	r.expire(at(300), 200*time.Millisecond, time.Second, 4, c.emit)
	if len(c.seqs) != 1 {
		t.Errorf("handed on %v before it was asked for often enough", c.seqs)
	}
	if v, m := r.put(packet{seq: 2, arrival: at(101)}, c.emit); v != recovered || m.attempts != 3 {
		t.Errorf("got %v, %+v", v, m)
	}
}

// FuzzReorder plays any order of packets and holds that they are handed on rising, once, and
// that the state stays within its bounds.
func FuzzReorder(f *testing.F) {
	f.Add([]byte{1, 1, 1, 3, 255, 1}, int64(65530))
	f.Add([]byte{1, 127, 129, 200, 0, 0, 5}, int64(-5))
	f.Fuzz(func(t *testing.T, steps []byte, seq int64) {
		seq %= 1 << 40
		c := collect{t: t}
		r := reorder{window: audioWindow}
		now := time.Unix(1e9, 0)
		for _, step := range steps {
			now = now.Add(time.Millisecond)
			switch {
			case step == 0:
				r.expire(now, 20*time.Millisecond, 50*time.Millisecond, 1, c.emit)
			case step == 255:
				seq += 3000
			case step == 254:
				r.ask(nil, now, 0, time.Millisecond, 3)
			default:
				seq += int64(int8(step))
			}
			r.put(packet{seq: seq, arrival: now}, c.emit)
			if len(r.gaps) > maxMissing || len(r.held) > audioWindow || r.newest-r.next >= audioWindow {
				t.Fatalf("%d gaps, %d held, from %d to %d", len(r.gaps), len(r.held), r.next, r.newest)
			}
		}
		r.flush(c.emit)
		for i, p := range r.held {
			if !p.arrival.IsZero() {
				t.Fatalf("slot %d still holds %d", i, p.seq)
			}
		}
	})
}

// TestReorderKeepsAll shuffles packets within reach of each other: none may be lost.
func TestReorderKeepsAll(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		const n = 2000
		order := make([]int64, n)
		for i := range order {
			order[i] = int64(i)
		}
		for i := 1; i+20 < n; i += 20 { // the first stays, for what comes before it is dropped
			rnd.Shuffle(20, func(a, b int) { order[i+a], order[i+b] = order[i+b], order[i+a] })
		}
		c := collect{t: t}
		r := reorder{window: videoWindow}
		for _, seq := range order {
			r.put(packet{seq: seq, arrival: time.Unix(1e9, 0)}, c.emit)
		}
		if len(c.seqs) != n || r.lost != 0 {
			t.Fatalf("%d of %d came through", len(c.seqs), n)
		}
	}
}
