package bwe

import "time"

// fallback is what is known without transport-wide feedback. REMB is the receiver's estimate; receiver reports tell
// about loss alone.
type fallback struct {
	remb  int64 // when the newest came
	heard int64 // when the newest receiver report came
	clean bool  // the newest report had next to no loss

	probing bool
	begun   int64
	retry   int64
}

const (
	// Feedback that has stayed away for this long, while other reports arrive, is not waited for any more.
	rembAge     = 5 * second
	reportApart = 200 * millisecond

	cleanLoss = 0.02
	blindStep = 1.3 // of a probe without feedback
	blindTime = 2 * second
	blindWait = 3 * second / 2
)

// REMB takes the receiver's own estimate. It counts only while there is no transport-wide feedback.
func (e *Estimator) REMB(bitsPerSecond uint64, now time.Time) {
	t := e.at(now)
	if e.heard {
		return
	}
	e.fallback.remb = t
	// It says little beyond what arrives, so it cannot raise the target by more than a step.
	e.setTarget(min(float64(min(bitsPerSecond, mostTarget)), max(e.target, 1.5*e.rate.bits)))
}

// Loss takes the share of packets lost by a receiver report, in 256ths. It counts only while there is no transport-wide
// feedback.
func (e *Estimator) Loss(share256 int, now time.Time) {
	t := e.at(now)
	f := &e.fallback
	if e.heard || t-f.heard < reportApart {
		return
	}
	f.heard = t
	share := float64(min(max(share256, 0), 256)) / 256
	f.clean = share < cleanLoss
	switch {
	case share > heavyLoss:
		e.setTarget(e.target * (1 - share/2))
		f.probing = false
		f.retry = t + blindWait
	case f.clean && (f.remb == 0 || t-f.remb > rembAge) && e.rate.bits > 0.7*e.target:
		e.setTarget(e.target * 1.08)
	}
}

// probe pads what is sent up to a step above the target.
func (f *fallback) probe(e *Estimator, now int64, want int) int {
	if float64(want) <= e.target || f.heard == 0 && f.remb == 0 || now < f.retry {
		f.probing = false
		return 0
	}
	if !f.probing {
		f.probing, f.begun = true, now
		e.probe.sent = 0
	}
	if now-f.begun > blindTime {
		f.probing, f.retry = false, now+blindWait
		return 0
	}
	due := int(min(e.target*blindStep, float64(want))*float64(now-f.begun)/8e6) - e.probe.sent
	if due < leastAtOnce {
		return 0
	}
	return min(due, mostAtOnce)
}
