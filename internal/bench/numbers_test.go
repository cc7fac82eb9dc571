package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPercentileOf(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, c := range []struct {
		times []time.Duration
		p     float64
		want  time.Duration
	}{
		{nil, 50, 0},
		{[]time.Duration{7}, 50, 7}, {[]time.Duration{7}, 99, 7},
		{[]time.Duration{2, 1}, 50, 1}, {[]time.Duration{2, 1}, 99, 2},
		{[]time.Duration{3, 1, 2}, 50, 2},
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 1, 1}, {hundred, 0, 1},
	} {
		if got := percentileOf(slices.Clone(c.times), c.p); got != c.want {
			t.Errorf("percentile %g of %d values: %d, want %d", c.p, len(c.times), got, c.want)
		}
	}
}

func TestHistogramIsCloseToExactPercentiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var times []time.Duration
	for range 20_000 {
		d := time.Duration(1) << random.IntN(36)
		d += time.Duration(random.Int64N(int64(d)))
		h.add(d)
		times = append(times, d)
	}
	for _, p := range []float64{0, 1, 50, 90, 99, 99.9, 100} {
		exact, got := percentileOf(times, p), h.percentile(p)
		if got < exact || float64(got) > float64(exact)*(1+1.0/64)+1 {
			t.Errorf("percentile %g: %d, exactly %d", p, got, exact)
		}
	}
	if h.percentile(100) != percentileOf(times, 100) {
		t.Error("the maximum is not exact")
	}
}

func TestHistogramBounds(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 127, 128, 129, 1 << 20, 1<<40 + 12345, 1<<63 - 1} {
		b := bucketOf(v)
		if upperBound(b) < v || b > 0 && upperBound(b-1) >= v {
			t.Errorf("%d is in bucket %d, which ends at %d", v, b, upperBound(b))
		}
	}
	var h histogram
	if h.percentile(50) != 0 {
		t.Error("an empty histogram has a percentile")
	}
	h.add(-time.Second)
	h.add(1<<63 - 1)
	if h.percentile(1) != 0 || h.percentile(100) != 1<<63-1 {
		t.Error("the ends are wrong")
	}
}

func TestUnwrapAcrossWraps(t *testing.T) {
	for _, start := range []uint16{0, 1, 65000, 65535} {
		var e unwrapper
		first := e.number(start)
		for i := range int64(200_000) {
			if i%7 == 3 {
				continue // lost
			}
			if got := e.number(start + uint16(i)); got != first+i {
				t.Fatalf("from %d: %d, want %d", start, got, first+i)
			}
		}
		if got := e.number(uint16(first + 199_990)); got != first+199_990 {
			t.Errorf("a late number: %d", got)
		}
	}
}

func TestTally(t *testing.T) {
	tl := newTally(100)
	for n := int64(90); n < 1000; n++ {
		if n%10 != 0 { // lost
			tl.mark(n)
		}
	}
	for _, n := range []int64{200, 200, 201, 99, 100} { // late, twice, twice, before, late
		tl.mark(n)
	}
	tl.close(1000)
	tl.mark(1000) // after
	tl.mark(990)  // late, still counted
	if expected, seen := tl.result(); expected != 900 || seen != 813 {
		t.Errorf("%d of %d", seen, expected)
	}
}

func TestTallyJumps(t *testing.T) {
	tl := newTally(0)
	tl.mark(5)
	tl.mark(5 + 3*tallyWindow)
	tl.mark(5) // too old to tell
	tl.mark(4 + 3*tallyWindow)
	tl.mark(6 + 2*tallyWindow)
	tl.mark(1 << 60)
	tl.close(1 << 61)
	if expected, seen := tl.result(); expected != 1<<61 || seen != 5 {
		t.Errorf("%d of %d", seen, expected)
	}
}

func TestStamp(t *testing.T) {
	s := newStamper()
	payload := make([]byte, 300)
	for _, at := range []int{0, 1, 100, len(payload) - stampSize} {
		clear(payload)
		s.put(payload[at:], 1<<34+at2(at), 123456789*time.Millisecond)
		counter, sent, ok := s.find(payload)
		if !ok || counter != 1<<34+at2(at) || sent != 123456789*time.Millisecond {
			t.Errorf("at %d: %d %s %v", at, counter, sent, ok)
		}
		if slices.ContainsFunc(payload[at:at+stampSize], func(b byte) bool { return b < 0x80 }) {
			t.Error("a byte of the stamp is below 0x80")
		}
		if _, _, ok := newStamper().find(payload); ok {
			t.Error("a stamp of another stamper is found")
		}
		payload[at+10] ^= 1
		if _, _, ok := s.find(payload); ok {
			t.Error("a damaged stamp is found")
		}
	}
}

func at2(at int) int64 { return int64(at) * 7 }

func FuzzStamp(f *testing.F) {
	s := &stamper{mark: [8]byte{0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88}}
	stamp := make([]byte, stampSize)
	s.put(stamp, 5, time.Second)
	f.Add(stamp)
	f.Add(append(append([]byte{1, 2, 3}, s.mark[:]...), stamp...))
	f.Add(s.mark[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if counter, sent, ok := s.find(b); ok && (counter < 0 || counter >= 1<<35 || sent < 0) {
			t.Error(counter, sent)
		}
	})
}
