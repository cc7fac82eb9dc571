package egress

const (
	// While a viewer is brought up to the live edge, what lies between it and the edge is shown this many times faster.
	// Otherwise its receiver would keep the distance for ever.
	compression = 32
	maxStamps   = 2048 // frames with unusual timestamps that are remembered for repair
)

// timeline maps the timestamps of frames to those of one viewer's SSRC. At the live edge they are the layer's plus a
// constant. Behind it they are squeezed towards the edge. They always rise.
type timeline struct {
	offset  int64 // from the layer's timestamps to the viewer's
	started bool
	in, out int64   // of the newest frame
	stamps  []stamp // of frames that were squeezed, in the order they were sent
}

type stamp struct{ in, out int64 }

// at returns the timestamp for the frame with timestamp in. edge is the newest timestamp of the layer, or in if nothing
// is to be squeezed. All packets of a frame get the same.
func (t *timeline) at(in, edge int64) int64 {
	if t.started && in == t.in {
		return t.out
	}
	usual := in + t.offset
	out := usual
	if behind := edge - in; behind > 0 {
		out = edge + t.offset - behind/compression
	}
	if t.started && out <= t.out && in > t.in {
		out = t.out + 1
	}
	if out != usual {
		if len(t.stamps) == maxStamps {
			t.stamps = append(t.stamps[:0], t.stamps[maxStamps/2:]...)
		}
		t.stamps = append(t.stamps, stamp{in, out})
	}
	t.started, t.in, t.out = true, in, out
	return out
}

// sent returns the timestamp with which a frame was sent.
func (t *timeline) sent(in int64) int64 {
	for i := len(t.stamps) - 1; i >= 0; i-- {
		if t.stamps[i].in == in {
			return t.stamps[i].out
		}
	}
	return in + t.offset
}

// follow moves the offset so that another layer's timestamps continue from this layer's.
func (t *timeline) follow(by int64) {
	t.offset += by
	t.in = -1 << 62
	t.stamps = t.stamps[:0]
}
