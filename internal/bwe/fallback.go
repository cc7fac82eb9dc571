package bwe

import "time"

// fallback is what is known without transport-wide feedback. REMB is the receiver's estimate; receiver reports tell
// about loss and the round trip.
//
// REMB is at most one and a half times what arrives and grows by 8 % a second, so it says little about what the path
// carries. What does is a trial: more is sent, and when a report about it shows neither loss nor a longer round trip,
// and REMB has not fallen, the path is proven to carry it. Any of these signs ends the trial, and at another time the
// proof.
type fallback struct {
	remb  int64   // when the newest came
	most  float64 // the largest since it last fell, bits a second
	heard int64   // when the newest receiver report came
	trip  int64   // the shortest round trip; 0: unknown

	proven  float64 // bits a second that a trial has shown to be carried
	trying  bool
	begun   int64
	rate    float64 // that is tried
	retry   int64   // when the next trial may begin
	patient int64   // how long the next failure puts it off
	failed  int64   // when a trial did, or a proof ended
	drained int64   // when the target was last lowered because of a queue
	excused int64   // until then, loss and a queue are those of a trial
}

const (
	// Feedback that has stayed away for this long, while other reports arrive, is not waited for any more.
	rembAge     = 5 * second
	reportApart = 200 * millisecond

	cleanLoss = 0.02
	fallen    = 0.97 // of the REMB before
	// A round trip that is longer than the shortest by this much ends a trial, or lowers the target.
	longTrip, longerTrip = 100 * millisecond, 250 * millisecond

	rembStep      = 2   // of a trial, times the target
	blindStep     = 1.6 // where nobody says at once that it is too much
	trialTime     = 1200 * millisecond
	trialMost     = 7 * second / 2
	mostUnknown   = 300_000 // bits a second
	drainTime     = 3 * second / 2
	trialEcho     = 3 * second / 2
	leastPatience = 3 * second / 2
	mostPatience  = 5 * second
)

// REMB takes the receiver's own estimate. It counts only while there is no transport-wide feedback.
func (e *Estimator) REMB(bitsPerSecond uint64, now time.Time) {
	t := e.at(now)
	if e.heard {
		return
	}
	f := &e.fallback
	bits := float64(min(bitsPerSecond, mostTarget))
	f.remb = t
	if bits < fallen*f.most { // it may come often, and fall little by little
		f.most = bits
		if t >= f.excused {
			f.fail(t)
		}
		e.setTarget(max(f.proven, min(bits, e.target)))
		return
	}
	f.most = max(f.most, bits)
	if f.trying && t-f.begun > trialTime+reportApart && t-f.heard > trialTime { // too little is sent for reports of losses
		e.proves(t)
	}
	// It says little beyond what arrives, so it cannot raise the target by more than a step.
	e.setTarget(max(f.proven, min(bits, max(e.target, 1.5*e.rate.bits))))
}

// Loss takes the share of packets lost by a receiver report, in 256ths, and the round trip; 0: it is not known. It
// counts only while there is no transport-wide feedback.
func (e *Estimator) Loss(share256 int, roundTrip time.Duration, now time.Time) {
	t := e.at(now)
	f := &e.fallback
	if e.heard || t-f.heard < reportApart {
		return
	}
	f.heard = t
	share := float64(min(max(share256, 0), 256)) / 256
	longer := int64(0)
	if trip := roundTrip.Microseconds(); trip > 0 {
		if f.trip == 0 || trip < f.trip {
			f.trip = trip
		}
		longer = trip - f.trip
		f.trip += longer / 256 // the path may have become longer
	}
	said := f.remb != 0 && t-f.remb <= rembAge
	switch {
	case f.trying && (share >= cleanLoss || longer > longTrip):
		f.fail(t)
	case t < f.excused:
	case share > heavyLoss:
		f.fail(t)
		e.setTarget(min(e.target*(1-share/2), e.rate.bits*(1-share))) // what arrives
	case longer > longerTrip && t-f.drained > drainTime: // it takes time to become shorter
		f.fail(t)
		f.drained = t
		e.setTarget(min(e.target, e.rate.bits) * 0.7)
	case f.trying && t-f.begun >= trialTime:
		e.proves(t)
	case share < cleanLoss && !said && e.rate.bits > 0.7*e.target:
		e.setTarget(e.target * 1.08)
	}
}

// proves ends a trial that went well.
func (e *Estimator) proves(now int64) {
	f := &e.fallback
	f.trying, f.retry, f.patient = false, now, 0
	if rate := min(f.rate, bitrate(int64(e.probe.sent), now-f.begun)); rate > e.target {
		f.proven = rate
		e.setTarget(rate)
	}
}

// fail ends a trial, or what trials have proven.
func (f *fallback) fail(now int64) {
	if now-f.failed > sameFailure {
		f.patient = min(max(2*f.patient, leastPatience), mostPatience)
	}
	f.failed, f.retry = now, now+f.patient
	if f.trying {
		f.trying, f.excused = false, now+trialEcho
	} else {
		f.proven = 0
	}
}

// probe pads what is sent up to the rate of a trial.
func (f *fallback) probe(e *Estimator, now int64, want int, urgent bool) int {
	retry := f.retry
	if urgent {
		retry = min(retry, f.failed+leastPatience)
	}
	if float64(want) <= e.target || f.heard == 0 && f.remb == 0 || now < retry {
		f.trying = false
		return 0
	}
	if !f.trying {
		step := blindStep
		if f.remb != 0 && now-f.remb <= rembAge {
			step = rembStep
		}
		f.trying, f.begun, f.rate = true, now, min(e.target*step, float64(want))
		f.proven = max(f.proven, e.target) // a trial that is too much does not tell against it
		e.probe.sent = 0
	}
	if now-f.begun > trialMost { // no report came
		f.fail(now)
		if e.target < mostUnknown { // because too little is sent for one, which must not go on for ever
			e.setTarget(min(f.rate, mostUnknown))
			f.retry = now
		}
		return 0
	}
	due := int(f.rate*float64(now-f.begun)/8e6) - e.probe.sent
	if due < leastAtOnce {
		return 0
	}
	return min(due, mostAtOnce)
}
