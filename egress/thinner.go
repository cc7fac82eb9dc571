package egress

const (
	heavyLoss = 64 // of 256: more than a quarter
	lightLoss = 12 // less than 5 %
	reports   = 2  // in a row, before anything changes
)

// thinner decides from a viewer's receiver reports (RFC 3550 section 6.4.1) when its path
// is overwhelmed, so that it gets only key frames until the path has recovered.
type thinner struct {
	on, leaving bool
	count       int
}

// report takes the fraction lost, in 1/256.
func (t *thinner) report(fraction uint8) {
	turn := fraction > heavyLoss
	if t.on {
		turn = fraction < lightLoss
	}
	if !turn {
		t.count, t.leaving = 0, false
		return
	}
	t.count++
	if t.count < reports {
		return
	}
	t.count = 0
	if t.on {
		t.leaving = true
	} else {
		t.on = true
	}
}

// leave is called at a key frame: it tells whether all is sent again from here on.
func (t *thinner) leave() bool {
	if t.leaving {
		t.on, t.leaving = false, false
		return true
	}
	return false
}
