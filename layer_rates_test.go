package siaran

import (
	"testing"
	"time"
)

// placedFramer reads the place of a packet from its payload: the temporal layer, the spatial one, and whether it is of
// a key frame.
type placedFramer struct{}

func (placedFramer) Next(payload []byte, _ int64, marker bool) Frame {
	frame := Frame{End: marker, Keyframe: payload[2] == 1}
	frame.Temporal, frame.Spatial, frame.SwitchUp, frame.LayerStart = payload[0], payload[1], true, true
	return frame
}

func (placedFramer) Lost() {}

func placedWriter(t *testing.T) *Writer {
	h := NewHub(time.Minute, func(CodecName) Framer { return placedFramer{} })
	t.Cleanup(h.Close)
	return videoWriter(t, h)
}

func TestLayerRates(t *testing.T) {
	w := placedWriter(t)
	l := w.Layer()
	seq, at := int64(0), time.Now().Add(-4*time.Second)
	step := func(temporals ...byte) { // frames of 1000 bytes for a second
		for i := range 20 {
			payload := make([]byte, 1000)
			payload[0] = temporals[i%len(temporals)]
			if seq == 0 {
				payload[2] = 1
			}
			write(t, w, seq, seq*4500, payload, at)
			seq++
			at = at.Add(50 * time.Millisecond)
		}
	}
	step(0)
	if got := l.Rates(); got != (LayerRates{}) {
		t.Errorf("before anything was measured: %v", got)
	}
	step(0, 1)
	if got, want := l.Rates(), (LayerRates{{20000}}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	step(0, 1)
	if got, want := l.Rates(), (LayerRates{{15000, 10000}}); got != want {
		t.Errorf("a new layer counts at once, another in part: %v, want %v", got, want)
	}
	at = at.Add(-time.Minute)
	l.parts.at.Store(int64(at.Sub(epoch)))
	if got := l.Rates(); got != (LayerRates{}) {
		t.Errorf("of a layer that has been silent: %v", got)
	}
}

func TestLayerRatesForgetWhatHasStopped(t *testing.T) {
	w := placedWriter(t)
	now := time.Now()
	for i := range int64(200) {
		payload := []byte{0, 0, 1}
		if i < 20 {
			payload[0] = 1
		}
		write(t, w, i, i*4500, append(payload, make([]byte, 1000)...), now.Add(time.Duration(i-200)*50*time.Millisecond))
	}
	if got := w.Layer().Rates(); got[0][1] != 0 || got[0][0] < 19000 {
		t.Errorf("%v", got)
	}
}

func TestPlacesAreBounded(t *testing.T) {
	w := placedWriter(t)
	write(t, w, 0, 0, []byte{7, 7, 1}, time.Now())
	if got, want := w.Layer().Get(0).Place, (Place{Temporal: MaxTemporal - 1, Spatial: MaxSpatial - 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestDescribedPackets(t *testing.T) {
	w := placedWriter(t)
	l := w.Layer()
	described := &Described{
		Place: Place{Temporal: 2, Spatial: 1, LayerEnd: true},
		Sizes: []Size{{320, 180}, {640, 360}},
	}
	if err := w.WriteDescribed(0, 0, true, []byte{0, 0, 1}, time.Now(), described); err != nil {
		t.Fatal(err)
	}
	if got := l.Get(0).Place; got != described.Place {
		t.Errorf("%+v", got)
	}
	for spatial, want := range append(described.Sizes, Size{}) {
		if width, height := l.SpatialSize(spatial); (Size{width, height}) != want {
			t.Errorf("spatial layer %d: %dx%d, want %v", spatial, width, height, want)
		}
	}
	write(t, w, 1, 3000, []byte{0, 0, 1}, time.Now())
	if width, height := l.SpatialSize(1); width != 0 || height != 0 {
		t.Errorf("%dx%d of a stream that has no spatial layers any more", width, height)
	}
}
