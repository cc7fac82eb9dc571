package siaran

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
)

var testTracks = []TrackSpec{{Codec: testOpus}, {Codec: testVP8}}

// publish begins or takes over a broadcast and fails the test when that fails.
func publish(t testing.TB, h *Hub, owner string, tracks ...TrackSpec) *Publication {
	t.Helper()
	p, err := h.Publish("cats", owner, tracks)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t testing.TB, w *Writer, seq, timestamp int64, payload []byte, at time.Time) {
	t.Helper()
	if err := w.Write(seq, timestamp, true, payload, at); err != nil {
		t.Fatal(err)
	}
}

func videoWriter(t testing.TB, h *Hub) *Writer {
	return publish(t, h, "owner", TrackSpec{Codec: testVP8}).Writer(KindVideo, "")
}

func TestWriterHoldsVideoBackUntilAKeyframe(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	p := publish(t, h, "owner", testTracks...)
	video, audio := p.Writer(KindVideo, ""), p.Writer(KindAudio, "")
	write(t, video, 1, 0, vp8More, testTime)
	write(t, video, 2, 3000, vp8Next, testTime)
	if video.Layer().Head() != 0 || p.Broadcast().State().Status != StatusOffline {
		t.Error("live before there is anything to show")
	}
	write(t, audio, 7, 0, []byte{1}, testTime)
	if audio.Layer().Head() != 1 || p.Broadcast().State().Status != StatusLive {
		t.Error("audio is held back")
	}
	write(t, video, 3, 6000, vp8Key, testTime)
	write(t, video, 4, 9000, vp8Next, testTime)
	l := video.Layer()
	if k, ok := l.Keyframe(); !ok || k != 0 || l.Head() != 2 || !l.Get(0).Keyframe || l.Get(1).Keyframe {
		t.Errorf("key frame %d %v, head %d", k, ok, l.Head())
	}
	if width, height := l.Size(); width != 640 || height != 480 {
		t.Errorf("size %dx%d", width, height)
	}
	state := p.Broadcast().State()
	if state.Video.Width != 640 || state.StartedAt != testTime || len(state.Layers) != 1 || state.Audio.Codec != Opus {
		t.Errorf("%+v", state)
	}
}

func TestWriterSequence(t *testing.T) {
	const padding = -1 << 62 // added to the number of a packet that carries nothing
	tests := []struct {
		name string
		in   []int64 // sequence numbers, relative to the start
		want []int64
	}{
		{"in order", []int64{0, 1, 2}, []int64{0, 1, 2}},
		{"twice and late", []int64{0, 1, 1, 0, 2, 1}, []int64{0, 1, 2}},
		{"loss", []int64{0, 1, 4}, []int64{0, 1, 4}},
		{"padding", []int64{0, padding + 1, padding + 2, 3}, []int64{0, 1}},
		{"padding twice", []int64{0, padding + 1, padding + 1, 2}, []int64{0, 1}},
		{"padding after a loss", []int64{0, padding + 2, 3}, []int64{0, 2}},
		{"loss after padding", []int64{0, padding + 1, 3}, []int64{0, 2}},
		{"largest loss", []int64{0, maxGap}, []int64{0, maxGap}},
		{"new beginning", []int64{0, maxGap + 1, maxGap + 2}, []int64{0, 2, 3}},
		{"new beginning with padding", []int64{0, padding + 5000, 5001}, []int64{0, 2}},
		{"padding first", []int64{padding, 1, 2}, []int64{0, 1}},
	}
	for _, test := range tests {
		for _, start := range []int64{0, 1, 65530, 65535, 1<<32 - 2, 1 << 40} {
			t.Run(fmt.Sprint(test.name, " from ", start), func(t *testing.T) {
				h := NewHub(time.Minute, newSampleFramer)
				defer h.Close()
				w := videoWriter(t, h)
				for _, n := range test.in {
					payload := vp8Key
					if n < 0 {
						payload, n = nil, n-padding
					}
					write(t, w, start+n, start*90+n*3000, payload, testTime)
				}
				var got []int64
				l := w.Layer()
				for seq := range l.Head() {
					if p := l.Get(seq); p != nil {
						got = append(got, p.Seq)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
			})
		}
	}
}

// scriptedFramer finds what the payload's first byte says: k for a key frame, p for one that needs parameter sets.
type scriptedFramer struct{ lost *int }

func (f scriptedFramer) Next(payload []byte, _ int64, marker bool) Frame {
	frame := Frame{Keyframe: payload[0] == 'k' || payload[0] == 'p', End: marker, Backward: payload[0] == 'b'}
	if payload[0] == 'p' {
		frame.Prefix = [][]byte{[]byte("one"), []byte("two")}
	}
	return frame
}

func (f scriptedFramer) Lost() { *f.lost++ }

func TestWriterPutsPrefixBeforeKeyframe(t *testing.T) {
	h := NewHub(time.Minute, func(CodecName) Framer { return scriptedFramer{new(int)} })
	defer h.Close()
	w := videoWriter(t, h)
	for i, payload := range []string{"k", "b", "p", "x"} {
		write(t, w, 100+int64(i), 3000*int64(i), []byte(payload), testTime)
	}
	l := w.Layer()
	if l.Head() != 6 || l.Stats() != (LayerStats{Packets: 6, Bytes: 10, Keyframes: 2, Backward: 1}) {
		t.Fatalf("head %d, %+v", l.Head(), l.Stats())
	}
	if k, _ := l.Keyframe(); k != 2 {
		t.Errorf("key frame at %d", k)
	}
	for i, want := range []Packet{
		{Seq: 2, Timestamp: 6000, Arrival: testTime, Payload: []byte("one"), Keyframe: true},
		{Seq: 3, Timestamp: 6000, Arrival: testTime, Payload: []byte("two")},
		{Seq: 4, Timestamp: 6000, Arrival: testTime, Payload: []byte("p"), Marker: true, FrameEnd: true},
		{Seq: 5, Timestamp: 9000, Arrival: testTime, Payload: []byte("x"), Marker: true, FrameEnd: true},
	} {
		if got := l.Get(int64(2 + i)); !reflect.DeepEqual(*got, want) {
			t.Errorf("packet %d: %+v, want %+v", 2+i, *got, want)
		}
	}
}

func TestWriterTellsTheFramerOfLosses(t *testing.T) {
	lost := 0
	h := NewHub(time.Minute, func(CodecName) Framer { return scriptedFramer{&lost} })
	defer h.Close()
	w := videoWriter(t, h)
	for _, step := range []struct {
		seq     int64
		payload string
		lost    int
	}{
		{1, "k", 0},
		{2, "x", 0},
		{3, "", 0}, // padding
		{4, "x", 0},
		{6, "", 1}, // padding after a loss
		{7, "x", 1},
		{7, "x", 1},
		{9000, "x", 2},
	} {
		write(t, w, step.seq, step.seq*3000, []byte(step.payload), testTime)
		if lost != step.lost {
			t.Errorf("after packet %d: the framer knows of %d losses, want %d", step.seq, lost, step.lost)
		}
	}
}

// Viewers see neither a jump nor a standstill when the broadcaster comes back, whatever its numbers are.
func TestWriterSplices(t *testing.T) {
	for _, second := range []struct{ seq, timestamp int64 }{{0, 0}, {65535, 1<<32 - 1}, {1 << 33, 1 << 50}, {101, 9000}} {
		for _, away := range []time.Duration{0, time.Millisecond, 5 * time.Second, -time.Second} {
			t.Run(fmt.Sprint(second, away), func(t *testing.T) {
				h := NewHub(time.Minute, newSampleFramer)
				defer h.Close()
				first := publish(t, h, "owner", testTracks...)
				video := first.Writer(KindVideo, "")
				write(t, video, 100, 9000, vp8Key, testTime)
				write(t, video, 102, 12000, vp8Next, testTime)

				again := publish(t, h, "owner", testTracks...)
				if again.Broadcast() != first.Broadcast() {
					t.Fatal("another broadcast")
				}
				if err := video.Write(103, 15000, true, vp8Next, testTime); !errors.Is(err, ErrTakenOver) {
					t.Errorf("the old writer gets %v", err)
				}
				w := again.Writer(KindVideo, "")
				at := testTime.Add(away)
				write(t, w, second.seq, second.timestamp, vp8Next, at) // held back
				w.SetClock(at.Add(-50*time.Millisecond), second.timestamp)
				write(t, w, second.seq+1, second.timestamp+3000, vp8Key, at)
				write(t, w, second.seq+2, second.timestamp+6000, vp8Next, at)

				l := w.Layer()
				if l.Head() != 5 || l.Stats().Lost != 1 {
					t.Fatalf("head %d, %d lost", l.Head(), l.Stats().Lost)
				}
				step := durationToUnits(max(away, minimumStep), 90000)
				if p := l.Get(3); !p.Keyframe || p.Timestamp != 12000+step {
					t.Errorf("%+v, want a step of %d", p, step)
				}
				if p := l.Get(4); p.Timestamp != 15000+step {
					t.Errorf("%+v", p)
				}
				clock, ok := l.Clock()
				if !ok || clock.Timestamp != 12000+step-3000 || !clock.Wall.Equal(at.Add(-50*time.Millisecond)) {
					t.Errorf("clock %+v", clock)
				}
			})
		}
	}
}

func TestWriterClock(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	p := publish(t, h, "owner", testTracks...)
	w := p.Writer(KindAudio, "")
	write(t, w, 1, 480, []byte{1}, testTime)
	if c, ok := w.Layer().Clock(); !ok || c != (Clock{testTime, 480}) {
		t.Errorf("%+v: want the first packet's arrival", c)
	}
	w.SetClock(testTime.Add(time.Second), 48480)
	if c, _ := w.Layer().Clock(); c != (Clock{testTime.Add(time.Second), 48480}) {
		t.Errorf("%+v: want the sender report's", c)
	}
	publish(t, h, "owner", testTracks...)
	w.SetClock(testTime, 0)
	if c, _ := w.Layer().Clock(); c.Timestamp != 48480 {
		t.Errorf("%+v: changed by one who has been taken over", c)
	}
}

// Followers hear of whole frames, and of what comes of a slow one.
func TestWritersWakeOncePerFrame(t *testing.T) {
	hub := NewHub(time.Second, newSampleFramer)
	defer hub.Close()
	pub, err := hub.Publish("cats", "me", []TrackSpec{{Codec: Codec{Name: VP8, ClockRate: 90000}}})
	if err != nil {
		t.Fatal(err)
	}
	w := pub.Writer(KindVideo, "")
	wake := make(chan struct{}, 1)
	defer w.Layer().Follow(wake)()
	key := []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00}
	start := time.Now()
	for i, c := range []struct {
		after   time.Duration
		marker  bool
		payload []byte
		woken   bool
	}{
		{0, false, key, false},
		{time.Millisecond, false, []byte{0, 1}, false},
		{time.Millisecond, true, []byte{0, 1}, true},
		{10 * time.Millisecond, false, []byte{0x10, 1}, false},
		{10*time.Millisecond + GatherTime, false, []byte{0, 1}, true},
		{11*time.Millisecond + GatherTime, false, []byte{0, 1}, false},
		{30 * time.Millisecond, false, []byte{0, 1}, true},
		{31 * time.Millisecond, true, []byte{0, 1}, true},
	} {
		if err := w.Write(int64(i), int64(c.after), c.marker, c.payload, start.Add(c.after)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-wake:
			if !c.woken {
				t.Errorf("packet %d woke its followers", i)
			}
		default:
			if c.woken {
				t.Errorf("packet %d woke nobody", i)
			}
		}
	}
}
