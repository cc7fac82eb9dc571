package bench

// tallyWindow is how many numbers back a late arrival still counts.
const tallyWindow = 1 << 14

// unwrapper turns sequence numbers, which wrap at 2^16 (RFC 3550 section 5.1), into numbers that do not.
type unwrapper struct {
	last  int64
	begun bool
}

func (e *unwrapper) number(seq uint16) int64 {
	if !e.begun {
		e.begun, e.last = true, int64(seq)
		return e.last
	}
	n := e.last + int64(int16(seq-uint16(e.last)))
	e.last = max(e.last, n)
	return n
}

// tally counts the numbers of a span that have arrived, each once.
type tally struct {
	from, until int64 // until is after the last, 0 while the span is open
	highest     int64
	seen        uint64
	bits        [tallyWindow / 64]uint64
}

// newTally opens a span that begins at from.
func newTally(from int64) *tally { return &tally{from: from, highest: from - 1} }

func (t *tally) mark(n int64) {
	if n < t.from || t.until > 0 && n >= t.until || n <= t.highest-tallyWindow {
		return
	}
	for ; t.highest < n; t.highest++ {
		if n-t.highest > tallyWindow { // a jump beyond the whole window
			t.highest = n - tallyWindow
			t.bits = [tallyWindow / 64]uint64{}
		}
		next := uint64(t.highest+1) % tallyWindow
		t.bits[next/64] &^= 1 << (next % 64)
	}
	at := uint64(n) % tallyWindow
	if bit := uint64(1) << (at % 64); t.bits[at/64]&bit == 0 {
		t.bits[at/64] |= bit
		t.seen++
	}
}

// close ends the span before until.
func (t *tally) close(until int64) { t.until = max(until, t.from) }

// result returns how many numbers the closed span has, and how many of them have arrived.
func (t *tally) result() (expected, seen uint64) { return uint64(t.until - t.from), t.seen }
