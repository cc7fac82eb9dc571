package bwe

import "time"

const (
	// FirstTarget is what a path is believed to carry before anything is known of it, in bits a second.
	FirstTarget = 1_000_000

	leastTarget = 50_000 // bits a second: sound alone
	mostTarget  = 100_000_000

	second      = int64(1_000_000) // times are in microseconds
	millisecond = int64(1_000)

	// A queue that stands for longer than congested lowers the target, one below calm lets it grow.
	congested = 50 * millisecond
	calm      = 25 * millisecond
	// A queue that is not there yet is foreseen from what is on its way.
	foreseen = 150 * millisecond
	// After a cut, the queue must have grown by this much to be a reason for the next one.
	worse = 15 * millisecond
	// What is measured to be carried is believed to this share, so that the queue drains.
	margin = 0.95
)

// Estimator estimates what the path to one viewer carries. It is not safe for concurrent use, takes a bounded amount of
// memory, and allocates nothing after New.
type Estimator struct {
	start  time.Time
	now    int64 // newest time seen, in microseconds since start
	target float64

	history history
	rate    sendRate
	silence silence

	heard   bool   // there has been feedback with arrivals
	newest  uint16 // number of the newest packet that has arrived
	flight  int    // bytes sent after it
	covered uint16 // the number after those that feedback has covered
	clock   clock
	base    baseline
	queue   standing
	stretch stretch
	meter   meter
	loss    lossMeter
	cut     int64  // the queue at the last cut; 0: it has been calm since
	since   uint16 // number of the first packet after the last deep cut, from which on losses count
	sharing sharing
	brake   brake

	probe    prober
	fallback fallback
}

// New returns an estimator that knows nothing yet.
func New(now time.Time) *Estimator {
	e := &Estimator{start: now, target: FirstTarget}
	e.queue.reset()
	return e
}

func (e *Estimator) at(now time.Time) int64 {
	e.now = max(e.now, now.Sub(e.start).Microseconds())
	return e.now
}

// Sent records a packet of size bytes and returns the transport-wide number it carries.
func (e *Estimator) Sent(now time.Time, size int) (number uint16) {
	t := e.at(now)
	e.rate.add(t, size)
	e.probe.sent += size
	e.flight += size
	for _, mark := range []*uint16{&e.since, &e.newest, &e.covered} { // so that they do not seem to be ahead one day
		if e.history.next-*mark > remembered {
			*mark = e.history.next - remembered
		}
	}
	if e.silence.sent(t) && e.heard {
		e.setTarget(e.target / 2)
		e.stretch.reset()
		e.meter.reset()
	}
	return e.history.add(t, size)
}

// Target is what the path is believed to carry, in bits a second.
func (e *Estimator) Target() int { return int(e.target) }

// Queue is how long a packet that is sent now would wait in front of the bottleneck, as far as that is known and our
// doing. While no feedback arrives, it grows with the time beyond the usual, as long as packets are sent.
func (e *Estimator) Queue(now time.Time) time.Duration {
	t := e.at(now)
	if !e.heard || e.silence.forgotten(t) {
		return 0
	}
	queue := e.queue.length()
	if rate, ok := e.stretch.rate(); ok {
		queue = e.ahead(rate)
		if e.loss.lost > 0 { // a queue that is full: what is on its way is not all in it
			queue = min(queue, e.queue.longest)
		}
	} else {
		queue = min(queue, e.ahead(e.target))
	}
	return time.Duration(max(e.sharing.own(queue), e.silence.beyond(t))) * time.Microsecond
}

// Brake reports whether the newest feedback lacks a packet for so long that a queue may have begun to grow: the next
// feedback tells. Until then, to send nothing that can wait costs little.
func (e *Estimator) Brake(now time.Time) bool { return e.at(now) < e.brake.until }

// ahead is the queue that a packet would find now, if the bottleneck carries so much: what the newest packet that has
// arrived found, and what was sent since, less what has left the queue in the meantime.
func (e *Estimator) ahead(rate float64) int64 {
	sent := int64(float64(e.flight*8) * float64(second) / rate)
	return max(0, e.queue.newest+sent-(e.now-e.queue.sent))
}

func (e *Estimator) setTarget(t float64) { e.target = min(max(t, leastTarget), mostTarget) }

// Feedback takes one RTCP packet of transport-wide feedback. A packet with an error in it changes nothing.
func (e *Estimator) Feedback(b []byte, now time.Time) error {
	r, err := parse(b)
	if err != nil || r.count == 0 {
		return err
	}
	if back := int(e.history.next - r.base); back < r.count || back > e.history.count+r.count {
		return errUnsent
	}
	t := e.at(now)
	arrival, jumped := e.clock.read(r.reference, t)
	if jumped {
		e.forgetTimes()
	} else if e.heard && int16(r.base-e.covered) > 0 {
		e.stretch.reset() // feedback was lost: of the packets between, nothing is known
		e.meter.reset()
	}
	e.take(&r, arrival, t)
	e.react(t)
	return nil
}

// take goes through the packets of a report. arrival is its reference time.
func (e *Estimator) take(r *report, arrival, now int64) {
	s := statuses{chunks: r.chunks}
	arrivals := 0
	for n := r.base; n != r.base+uint16(r.count); n++ {
		status, _ := s.next()
		p, sent := e.history.find(n, now)
		if deltaSize(status) == 0 {
			if p != nil && p.state == unreported {
				p.state = lost
				e.missed(n)
			}
			continue
		}
		arrival += r.delta(status)
		if p == nil || p.state == arrived {
			continue
		}
		if p.state == lost && e.loss.lost > 0 {
			e.loss.lost--
		}
		p.state = arrived
		if int16(n-e.since) >= 0 {
			e.loss.arrived++
		}
		arrivals++
		e.probe.arrived(n, int(p.size), sent, arrival)
		if !e.heard || int16(n-e.newest) > 0 {
			e.heard, e.newest = true, n
			e.arrived(n, int(p.size), sent, arrival)
		}
	}
	if int16(r.base+uint16(r.count)-e.covered) > 0 || !e.heard {
		e.covered = r.base + uint16(r.count)
	}
	if arrivals > 0 {
		e.silence.heard(now)
		e.flight = e.history.after(e.newest)
		e.brake.heard(&e.history, e.newest, now)
	}
}

// missed counts a lost packet. What is lost of a probe says nothing about the media.
func (e *Estimator) missed(n uint16) {
	if e.probe.includes(n) {
		e.probe.lost++
	} else if int16(n-e.since) >= 0 {
		e.loss.lost++
	}
}

// arrived takes a packet that arrived after all that were sent before it, unless those are late.
func (e *Estimator) arrived(n uint16, size int, sent, arrival int64) {
	delay := arrival - sent
	if e.base.implausible(delay) {
		e.forgetTimes()
	}
	base := e.base.add(delay, sent, e.sharing.since != 0)
	e.queue.add(delay-base, sent, arrival)
	e.stretch.add(size, sent, arrival, base)
	e.meter.add(size, sent, arrival)
}

// forgetTimes is for a receiver's clock that has jumped.
func (e *Estimator) forgetTimes() {
	e.base = baseline{}
	e.queue.reset()
	e.stretch.reset()
	e.meter.reset()
	e.probe.abort(e.now)
}

// react draws the conclusions from what is new.
func (e *Estimator) react(now int64) {
	queue := e.queue.length()
	if queue < calm {
		e.cut, e.queue.longest = 0, 0
		e.sharing.end()
	}
	if rate, ok := e.stretch.rate(); ok {
		if early := e.ahead(rate); early > foreseen && rate < e.target*clearlyLess {
			queue = max(queue, early)
		}
		if queue > congested {
			e.relieve(now, queue, rate)
		}
	}
	if queue > congested+worse && e.probe.running() {
		e.probe.abort(now)
	}
	if e.loss.window(now) && e.loss.heavy {
		e.lower(now, min(e.target, max(e.meter.rate*margin, e.target*(1-e.loss.share))))
	}
	if rate, ok := e.meter.take(); ok && queue < calm && !e.loss.heavy {
		e.grow(rate)
	}
	e.conclude(now, queue)
}

// relieve is for a queue that stands, or will. rate is what leaves it.
func (e *Estimator) relieve(now, queue int64, rate float64) {
	grows := queue > e.cut+worse
	if whole, ok := e.stretch.whole(); ok {
		e.sharing.measured(whole, now)
	}
	e.sharing.note(rate, e.rate.bits, grows, now)
	fair := e.sharing.fair()
	right := max(rate, fair) * margin
	if grows && right < e.target {
		e.lower(now, right)
		e.cut = queue
	} else if fair*margin > e.target && now-e.sharing.since > second {
		e.setTarget(fair * margin)
		e.sharing.raised = true
	}
}

// lower cuts the target.
func (e *Estimator) lower(now int64, target float64) {
	if target < e.target*clearlyLess {
		e.since = e.history.next // losses before were of the old target's
		e.probe.wasCut(now)
	}
	e.setTarget(target)
}

// grow takes a rate that was delivered for half a second without a queue.
func (e *Estimator) grow(rate float64) {
	if rate > e.target {
		e.setTarget(rate)
	}
	if rate > 0.85*e.target {
		e.setTarget(e.target * 1.04)
	}
}
