package codec

import (
	"bytes"
	"testing"
	"time"

	"siaran"
)

var testTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// writerTo is the writer of the only layer of a new broadcast.
func writerTo(t testing.TB, h *siaran.Hub, name siaran.CodecName) *siaran.Writer {
	t.Helper()
	p, err := h.Publish("cats", "owner", []siaran.TrackSpec{{Codec: siaran.Codec{Name: name, ClockRate: 90000}}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Writers()[0]
}

func write(t testing.TB, w *siaran.Writer, seq, timestamp int64, payload []byte, at time.Time) {
	t.Helper()
	if err := w.Write(seq, timestamp, true, payload, at); err != nil {
		t.Fatal(err)
	}
}

func TestWriterPutsParameterSetsIn(t *testing.T) {
	h := siaran.NewHub(time.Minute, NewFramer)
	defer h.Close()
	w := writerTo(t, h, siaran.H264)
	sets := recordedSets(t, "h264.rtp", h264Grammar{})
	for i, payload := range [][]byte{sets[0], sets[1], h264IDR, h264P, h264IDR, h264P} {
		write(t, w, 100+int64(i), 3000*int64(max(0, i-2)), payload, testTime)
	}
	l := w.Layer()
	if l.Head() != 7 || l.Stats().Lost != 0 {
		t.Fatalf("head %d, %d lost", l.Head(), l.Stats().Lost)
	}
	prefix, idr := l.Get(4), l.Get(5)
	if k, _ := l.Keyframe(); k != 4 || !prefix.Keyframe || prefix.FrameEnd || prefix.Marker ||
		prefix.Payload[0]&0x1f != h264STAPA {
		t.Errorf("key frame at %d begins with %+v", k, prefix)
	}
	if idr.Keyframe || !idr.FrameEnd || idr.Timestamp != prefix.Timestamp || !bytes.Equal(idr.Payload, h264IDR) {
		t.Errorf("then %+v", idr)
	}
	if p := l.Get(6); !bytes.Equal(p.Payload, h264P) {
		t.Errorf("then %+v", p)
	}
}

func TestWriterTellsTheFramerOfLosses(t *testing.T) {
	h := siaran.NewHub(time.Minute, NewFramer)
	defer h.Close()
	w := writerTo(t, h, siaran.H264)
	sets := recordedSets(t, "h264.rtp", h264Grammar{})
	write(t, w, 1, 0, sets[0], testTime)
	write(t, w, 2, 0, sets[1], testTime)
	write(t, w, 3, 0, h264IDR, testTime)
	write(t, w, 4, 3000, nil, testTime)     // padding, and no loss
	write(t, w, 6, 6000, nil, testTime)     // padding after a loss
	write(t, w, 7, 6000, h264IDR, testTime) // its SPS may be what was lost
	write(t, w, 8, 9000, h264IDR, testTime) // the encoder does not repeat it, then
	if k, _ := w.Layer().Keyframe(); k != 5 || w.Layer().Stats().Keyframes != 2 {
		t.Errorf("key frame at %d, %+v", k, w.Layer().Stats())
	}
}
