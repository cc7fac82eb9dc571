package bwe

const (
	// The receiver's clock and ours may go apart by this much from one report to the next: reports can be late.
	clockSlack = 10 * second
	// Delays that differ from the least one by more than this are not delays.
	mostBelow = 2 * second
	mostAbove = 15 * second

	drift   = 5 * second // how long a part of the baseline lasts
	parts   = 6
	steady  = 30 * millisecond
	glance  = 40 * millisecond
	unknown = int64(1) << 62
)

// clock follows the reference times of reports.
type clock struct {
	known     bool
	reference int32
	receiver  int64 // of the newest report, unwrapped
	local     int64
}

// read unwraps a reference time. It reports whether the receiver's clock has jumped.
func (c *clock) read(reference int32, now int64) (arrival int64, jumped bool) {
	step := int64((reference-c.reference)<<8>>8) * referenceUnit
	apart := step - (now - c.local)
	jumped = c.known && (apart > clockSlack || apart < -clockSlack)
	if late := c.known && !jumped && step < 0; late {
		return c.receiver + step, false
	}
	c.receiver += step
	if jumped {
		c.receiver = int64(reference) * referenceUnit
	}
	c.known, c.reference, c.local = true, reference, now
	return c.receiver, jumped
}

// baseline is the least delay of the last half minute: what a packet needs without a queue, plus what the two clocks
// differ by. It follows clocks of different speed and changes of the path.
type baseline struct {
	known  bool
	least  int64
	leasts [parts]int64 // of each part
	part   int
	begun  int64 // when the current part began, by our clock
	most   int64 // the greatest delay of the current part
}

func (b *baseline) implausible(delay int64) bool {
	return b.known && (delay < b.least-mostBelow || delay > b.least+mostAbove)
}

// add takes a delay and returns the least. While others fill the queue, the baseline does not age, unless the delay
// stays as it is: then the path has become longer.
func (b *baseline) add(delay, sent int64, shared bool) int64 {
	switch {
	case !b.known || sent-b.begun >= parts*drift:
		b.known, b.least, b.begun = true, delay, sent
		for i := range b.leasts {
			b.leasts[i] = unknown
		}
	case sent-b.begun >= drift && shared && b.most-b.leasts[b.part] > steady:
		b.begun, b.most, b.leasts[b.part] = sent, delay, delay
	case sent-b.begun >= drift:
		b.part = (b.part + 1) % parts
		b.most = delay
		b.leasts[b.part] = delay
		b.begun = sent
		b.least = delay
		for _, d := range b.leasts {
			b.least = min(b.least, d)
		}
	}
	b.most = max(b.most, delay)
	b.leasts[b.part] = min(b.leasts[b.part], delay)
	b.least = min(b.least, delay)
	return b.least
}

// standing is the queue that stands: the least wait of the last glances. The packets of a burst wait for each other,
// those at the heads of bursts do not.
type standing struct {
	current, previous int64
	begun             int64 // by the receiver's clock
	newest            int64 // wait of the newest packet that has arrived
	sent              int64 // when it was sent
	longest           int64 // wait since the queue has been there
}

func (s *standing) reset() { *s = standing{current: unknown, previous: unknown} }

func (s *standing) add(wait, sent, arrival int64) {
	s.newest, s.sent, s.longest = wait, sent, max(s.longest, wait)
	if s.current == unknown || arrival-s.begun >= glance || arrival < s.begun {
		s.previous, s.current, s.begun = s.current, wait, arrival
		return
	}
	s.current = min(s.current, wait)
}

func (s *standing) length() int64 {
	if q := min(s.current, s.previous); q != unknown {
		return q
	}
	return 0
}

// silence watches for feedback that stays away although packets are sent.
type silence struct {
	newest   int64 // when a packet was last sent
	last     int64 // when feedback last came
	since    int64 // when the first packet was sent after the newest feedback; 0: none was
	usual    int64 // how long feedback takes from then, the longest of late
	patience int64 // how much longer than usual silence must last to halve the target again
}

const (
	leastUsual = 150 * millisecond
	mostUsual  = second
	patience   = second / 2
	// What was sent before a pause of this length has arrived or is lost. That no feedback comes then says nothing.
	pause = second
	// After neither for so long, nothing is known of the path any more.
	oblivion = 2 * second
)

// sent reports whether the target should be halved.
func (s *silence) sent(now int64) bool {
	if now-s.newest > pause {
		s.since = 0
	}
	s.newest = now
	if s.since == 0 {
		s.since, s.patience = now, patience
		return false
	}
	if s.beyond(now) < s.patience {
		return false
	}
	s.patience += patience
	return true
}

func (s *silence) beyond(now int64) int64 {
	if s.since == 0 || now-s.newest > pause {
		return 0
	}
	return max(0, now-s.since-min(max(s.usual*3/2, leastUsual), mostUsual))
}

// forgotten reports whether what is known is too old to say anything.
func (s *silence) forgotten(now int64) bool { return now-max(s.newest, s.last) > oblivion }

func (s *silence) heard(now int64) {
	s.last = now
	if s.since != 0 {
		took := min(now-s.since, mostUsual)
		s.usual = max(took, s.usual-(s.usual-took)/16)
	}
	s.since = 0
}
