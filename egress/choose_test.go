package egress

import (
	"slices"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
)

// simulcast is a broadcast of three layers, and one viewer's track, on a clock that the test moves.
type simulcast struct {
	t     *testing.T
	now   time.Time
	rids  []string // the smallest first
	pub   *siaran.Publication
	track *track
	w     *worker
	seq   int64
	seen  []string // what the viewer was sent, from change to change
}

func newSimulcast(t *testing.T) *simulcast {
	t.Helper()
	s := &simulcast{t: t, now: time.Unix(1.8e9, 0), rids: []string{"l", "m", "h"}}
	hub := siaran.NewHub(time.Minute, codec.NewFramer)
	t.Cleanup(hub.Close)
	codec := siaran.Codec{Name: siaran.VP8, ClockRate: 90000}
	var err error
	s.pub, err = hub.Publish("cats", "owner", []siaran.TrackSpec{{Codec: codec, RIDs: s.rids}})
	if err != nil {
		t.Fatal(err)
	}
	p := plan{Kind: siaran.KindVideo, ClockRate: codec.ClockRate, Choice: true}
	s.w = &worker{layers: make(map[*siaran.Layer]*layerCursor)}
	for _, rid := range s.rids {
		l := s.layer(rid)
		p.Layers = append(p.Layers, l)
		s.w.layers[l] = follow(l, nil, false)
	}
	s.track = newViewer(nil, []plan{p}, nil).tracks[0]
	s.track.shared = s.w.layers[s.track.layer]
	return s
}

func (s *simulcast) layer(rid string) *siaran.Layer {
	return s.pub.Writer(siaran.KindVideo, rid).Layer()
}

// run lets time pass, in which each layer sends a key frame once a period, later than the layer before by the
// shift, for as long as it lives.
func (s *simulcast) run(long, period, shift time.Duration, living ...string) {
	s.t.Helper()
	const step = 10 * time.Millisecond
	begin := s.now
	for ; s.now.Sub(begin) < long; s.now = s.now.Add(step) {
		for i, rid := range s.rids {
			at := s.now.Sub(begin) - time.Duration(i)*shift
			if at < 0 || at%period >= step || !slices.Contains(living, rid) {
				continue
			}
			s.seq++
			size := byte(100 * (i + 1) / 2)
			frame := []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, size, 0, size, 0, 1}
			w := s.pub.Writer(siaran.KindVideo, rid)
			if err := w.Write(s.seq, s.now.UnixMilli()*90, true, frame, s.now); err != nil {
				s.t.Fatal(err)
			}
		}
		s.track.tick(s.w, s.now)
		if s.track.cursor < 0 {
			s.track.start(s.w, s.now)
			s.track.sent++
		}
		if rid := s.track.layer.RID(); len(s.seen) == 0 || s.seen[len(s.seen)-1] != rid {
			s.seen = append(s.seen, rid)
		}
	}
}

func TestSlowLayersAreNotLeft(t *testing.T) {
	for _, test := range []struct{ period, shift time.Duration }{
		{200 * time.Millisecond, 20 * time.Millisecond}, // the control
		{1050 * time.Millisecond, 100 * time.Millisecond},
		{1050 * time.Millisecond, 400 * time.Millisecond},
		{2 * time.Second, 100 * time.Millisecond},
		{2 * time.Second, 400 * time.Millisecond},
		{10 * time.Second, 400 * time.Millisecond},
	} {
		s := newSimulcast(t)
		s.run(time.Minute, test.period, test.shift, "l", "m", "h")
		if changes := len(s.seen) - 1; changes > 2 || s.seen[changes] != "h" { // upwards, as the layers come
			t.Errorf("a frame in %v, %v later in the next layer: %v", test.period, test.shift, s.seen)
		}
		// The screen moves for a while, and stands still again.
		s.seen = nil
		for range 3 {
			s.run(2*time.Second, 30*time.Millisecond, 0, "l", "m", "h")
			s.run(30*time.Second, test.period, test.shift, "l", "m", "h")
		}
		if len(s.seen) != 1 {
			t.Errorf("a frame in %v, %v later in the next layer, or many: %v", test.period, test.shift, s.seen)
		}
	}
}

func TestDeadLayersAreLeft(t *testing.T) {
	for _, test := range []struct{ period, within time.Duration }{
		{30 * time.Millisecond, 1100 * time.Millisecond},
		{200 * time.Millisecond, 1300 * time.Millisecond},
		{1050 * time.Millisecond, 4 * time.Second},
		{2 * time.Second, 7 * time.Second},
	} {
		s := newSimulcast(t)
		s.run(20*time.Second, test.period, test.period/20, "l", "m", "h")
		s.run(test.within, test.period, test.period/20, "l", "m")
		if got := s.track.layer.RID(); got != "m" {
			t.Errorf("a frame in %v: %v after the largest layer has died the viewer gets %q", test.period, test.within, got)
		}
		s.run(30*time.Second, test.period, test.period/20, "l", "m")
		s.run(5*test.period, test.period, test.period/20, "l", "m", "h")
		if want := []string{"l", "m", "h", "m", "h"}; !slices.Equal(s.seen[max(0, len(s.seen)-3):], want[2:]) {
			t.Errorf("a frame in %v: %v, want %v", test.period, s.seen, want)
		}
	}
}
