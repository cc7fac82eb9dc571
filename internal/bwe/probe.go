package bwe

import "time"

const (
	// A train is a short burst. It shows by its dispersion what the bottleneck carries at the moment, and does little
	// harm where that is not much.
	leastTrain = 3_000              // bytes
	mostTrain  = 8_000              // bytes
	trainTime  = 80 * millisecond   // that the current target would need for it at most
	trainWait  = 30 * millisecond   // for the sender to send it
	trainLeast = 3                  // packets after the first
	trainPause = 1200 * millisecond // after one that said no

	// What the train says is then tried for some time: a path may let bursts pass that it does not carry for long. It
	// is at most twice what is known to be carried, because the news of a queue comes late.
	sustainTime = 300 * millisecond
	sustainStep = 2
	mostAtOnce  = 6_000 // bytes of padding that are asked for at once
	leastAtOnce = 200

	// After a trial that was too much, this many trains in a row must say that more is carried before the next one.
	// The number doubles with each failure.
	firstNeeded  = 3
	mostNeeded   = 8
	urgentNeeded = 2
	successLasts = 10 * second // a deep cut within this time makes a success a failure
	sameFailure  = second

	clearlyLess = 0.85
	slowTrains  = 3

	probeAnswer = second // after which feedback is not waited for
	worthwhile  = 1.08   // times the target
	mostLate    = 2      // reports
	enough      = 0.9    // of the rate of a trial: frames come in bursts, and it ends between two
)

type probeState uint8

const (
	idle probeState = iota
	training
	trainSent
	sustaining
	sustained
)

// prober finds out whether a path carries more than is sent.
type prober struct {
	run

	next      int64   // when the next train may begin
	train     float64 // what the newest train said
	slow      int     // trains in a row that said less than the target
	slower    float64 // the most they said
	fast      int     // trains in a row that said more
	needed    int     // such trains before the next trial
	failed    int64   // when the newest trial did
	succeeded int64   // when the newest trial did; 0: it has not, or was a failure after all
}

// run is a train or a trial.
type run struct {
	state probeState
	begun int64
	rate  float64 // wanted, or tried
	asked int     // bytes

	sent        int    // bytes since it began, of any kind
	first, last uint16 // numbers of its packets; last is known when all were sent

	packets, lost int
	bytes         int64 // that arrived after the first packet
	firstIn, in   int64
	firstOut, out int64
	done          bool // its last packet, or a later one, has arrived
	late          int  // reports since then
}

func (r *run) running() bool { return r.state != idle }

func (r *run) over() bool { return r.state == trainSent || r.state == sustained }

func (r *run) includes(n uint16) bool {
	return r.running() && int16(n-r.first) >= 0 && (!r.over() || int16(n-r.last) <= 0)
}

// arrived counts a packet.
func (r *run) arrived(n uint16, size int, sent, arrival int64) {
	if r.over() && int16(n-r.last) >= 0 {
		r.done = true
	}
	if !r.includes(n) {
		return
	}
	if r.packets == 0 {
		r.firstIn, r.firstOut, r.in, r.out = arrival, sent, arrival, sent
	} else {
		r.bytes += int64(size)
	}
	r.packets++
	r.in, r.out = max(r.in, arrival), max(r.out, sent)
}

func (p *prober) begin(s probeState, rate float64, now int64, next uint16) {
	p.run = run{state: s, begun: now, first: next, rate: rate}
}

// abort ends what is running, as it does harm.
func (p *prober) abort(now int64) {
	if p.state >= sustaining {
		p.fail(now)
	}
	p.stop(now)
}

func (p *prober) stop(now int64) {
	p.state = idle
	p.next = now + trainPause
}

// fail puts off the next trial.
func (p *prober) fail(now int64) {
	p.stop(now)
	if p.succeeded != 0 && now-p.succeeded >= successLasts {
		p.needed = 0
	}
	p.succeeded, p.fast = 0, 0
	if p.needed == 0 || now-p.failed >= sameFailure {
		p.needed = min(max(2*p.needed, firstNeeded), mostNeeded)
	}
	p.failed = now
}

// wasCut says that the target had to be lowered by much.
func (p *prober) wasCut(now int64) {
	p.abort(now)
	if p.succeeded != 0 && now-p.succeeded < successLasts {
		p.fail(now)
	}
}

// Probe returns how many bytes of padding or repairs should be sent now, beside the media, to find out whether the path
// carries want bits a second in all. The sender asks every few milliseconds while it wants more than the target, and
// may send less. It is urgent if the viewer has no moving picture, which a trial that is too much could spoil.
func (e *Estimator) Probe(now time.Time, want int, urgent bool) int {
	t := e.at(now)
	p := &e.probe
	if !e.heard {
		return e.fallback.probe(e, t, want, urgent)
	}
	if e.Brake(now) {
		return 0
	}
	switch p.state {
	case idle:
		if float64(want) <= e.target || t < p.next || e.loss.isHeavy(t) ||
			e.Queue(now) > time.Duration(calm)*time.Microsecond {
			return 0
		}
		if urgent {
			p.needed = min(p.needed, urgentNeeded)
		}
		p.begin(training, float64(min(want, mostTarget)), t, e.history.next)
		p.asked = min(max(int(e.target*float64(trainTime)/8e6), leastTrain), mostTrain)
		return p.asked
	case training:
		if p.sent >= p.asked || t-p.begun > trainWait {
			p.state, p.last = trainSent, e.history.next-1
		}
	case sustaining:
		if t-p.begun > sustainTime {
			p.state, p.last = sustained, e.history.next-1
			return 0
		}
		due := int(p.rate*float64(t-p.begun)/8e6) - p.sent
		if due < leastAtOnce {
			return 0
		}
		return min(due, mostAtOnce)
	}
	if t-p.begun > sustainTime+probeAnswer {
		p.stop(t)
	}
	return 0
}

// conclude goes on with a probe whose packets have arrived.
func (e *Estimator) conclude(now, queue int64) {
	p := &e.probe
	if !p.done {
		return
	}
	p.done = false
	switch p.state {
	case trainSent:
		e.trained(now)
	case sustained:
		rate := bitrate(p.bytes, max(p.in-p.firstIn, p.out-p.firstOut))
		if rate > p.rate*enough {
			rate = p.rate
		}
		switch {
		case queue >= congested || float64(p.lost) > heavyLoss*float64(p.lost+p.packets):
			p.fail(now)
		case p.packets+p.lost < int(enough*float64(p.last-p.first+1)): // feedback is late or lost
			p.late++
			p.done = p.late <= mostLate
			if !p.done {
				p.stop(now)
				p.next = now
			}
		case rate > e.target:
			p.stop(now)
			p.succeeded, p.next = now, now
			e.setTarget(rate)
		default: // the sender did not send enough
			p.stop(now)
		}
	}
}

// trained goes on after a train.
func (e *Estimator) trained(now int64) {
	p := &e.probe
	rate := p.rate
	p.train = 0
	if p.packets > trainLeast {
		p.train = bitrate(p.bytes, p.in-p.firstIn) * margin
		rate = min(rate, p.train)
		if p.lost == 0 {
			e.slower(p.train)
		}
	}
	if rate > e.target*(sustainStep+0.2) { // rather than a small step afterwards
		rate = e.target * sustainStep
	}
	if p.packets == 0 || rate < e.target*worthwhile && rate < p.rate {
		p.fast = 0
		p.stop(now)
		return
	}
	if p.fast++; p.fast < p.needed {
		p.stop(now)
		return
	}
	p.begin(sustaining, rate, now, e.history.next)
}

// slower lowers the target if three trains in a row say so: what is sent may be too little to notice otherwise.
func (e *Estimator) slower(carried float64) {
	p := &e.probe
	if carried >= e.target*clearlyLess {
		p.slow, p.slower = 0, 0
		return
	}
	p.slow, p.slower = p.slow+1, max(p.slower, carried)
	if p.slow == slowTrains {
		e.setTarget(p.slower)
		p.slow, p.slower = 0, 0
	}
}
