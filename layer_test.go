package siaran

import (
	"testing"
	"time"
)

var (
	testVP8  = Codec{Name: VP8, ClockRate: 90000}
	testOpus = Codec{Name: Opus, ClockRate: 48000, Channels: 2}
	testTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// VP8 payloads: the first packet of a key frame of 640x480, the first of another frame, and one that continues a frame.
var (
	vp8Key  = []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01}
	vp8Next = []byte{0x10, 0x11, 0, 0}
	vp8More = []byte{0x00, 0x11, 0, 0}
)

// sampleFramer recognises those payloads, so that the tests of this package need no parser of any codec.
type sampleFramer struct{ audio bool }

func newSampleFramer(name CodecName) Framer { return sampleFramer{audio: name.Kind() == KindAudio} }

func (f sampleFramer) Next(payload []byte, _ int64, marker bool) Frame {
	if f.audio {
		return Frame{Keyframe: true, End: true}
	}
	frame := Frame{End: marker}
	if len(payload) >= len(vp8Key) && payload[0] == vp8Key[0] && payload[1]&1 == 0 {
		frame.Keyframe = true
		frame.Width, frame.Height = int(payload[7])|int(payload[8])<<8, int(payload[9])|int(payload[10])<<8
	}
	return frame
}

func (sampleFramer) Lost() {}

// filler appends packets to a layer without a writer, 10 ms apart unless told otherwise.
type filler struct {
	*Layer
	seq  int64
	at   time.Time
	size int
}

func newFiller(codec Codec) *filler {
	return &filler{Layer: newLayer("", codec, newBudget(1<<40, nil)), at: testTime, size: 100}
}

func (f *filler) put(keyframe, end bool) {
	f.append(&Packet{Seq: f.seq, Timestamp: f.seq * 900, Arrival: f.at, Payload: make([]byte, f.size), Keyframe: keyframe,
		FrameEnd: end})
	f.seq++
	f.at = f.at.Add(10 * time.Millisecond)
}

func (f *filler) putMany(n int) {
	for range n {
		f.put(false, true)
	}
}

// check holds what is true of a ring at all times.
func (f *filler) check(t *testing.T) {
	t.Helper()
	held := 0
	for seq := f.Tail(); seq < f.Head(); seq++ {
		if p := f.Get(seq); p != nil {
			held += p.cost()
		}
	}
	if held != f.held || held > layerBytes {
		t.Errorf("%d bytes in the ring, %d counted", held, f.held)
	}
	kept := 0
	for i := range f.slots {
		if p := f.slots[i].Load(); p != nil {
			if kept++; p.Seq < f.Tail() || p.Seq >= f.Head() {
				t.Errorf("packet %d is retained outside of %d to %d", p.Seq, f.Tail(), f.Head())
			}
		}
	}
	if f.Head()-f.Tail() > int64(len(f.slots)) {
		t.Errorf("%d to %d is more than the ring", f.Tail(), f.Head())
	}
	if k, ok := f.Keyframe(); ok && f.Get(k) == nil {
		t.Errorf("key frame %d is not there", k)
	}
}

func TestLayerKeepsAGroupOfPictures(t *testing.T) {
	f := newFiller(testVP8)
	f.put(true, true)
	f.putMany(999) // 10 s
	f.check(t)
	if k, ok := f.Keyframe(); !ok || k != 0 || f.Tail() != 0 {
		t.Fatalf("key frame %d %v, tail %d: the group of 10 s has been let go", k, ok, f.Tail())
	}
	f.put(true, true)
	f.putMany(1)
	f.check(t)
	if k, _ := f.Keyframe(); k != 1000 {
		t.Errorf("key frame %d, want the newest", k)
	}
	if tail := f.Tail(); tail < 795 || tail > 805 {
		t.Errorf("tail %d: want what is 2 s old, for repair", tail)
	}
}

func TestLayerLetsGoOfOldPacketsWithoutKeyframes(t *testing.T) {
	for _, codec := range []Codec{testVP8, testOpus} {
		f := newFiller(codec)
		f.putMany(1000)
		f.check(t)
		if kept := f.Head() - f.Tail(); kept < 200 || kept > 202 {
			t.Errorf("%s: %d packets kept, want 2 s of them", codec.Name, kept)
		}
		f.at = f.at.Add(time.Hour)
		f.put(false, true)
		f.check(t)
		if f.Tail() != f.Head()-1 {
			t.Errorf("%s: %d packets kept after an hour", codec.Name, f.Head()-f.Tail())
		}
	}
}

func TestLayerIsBoundedInPackets(t *testing.T) {
	for _, codec := range []Codec{testVP8, testOpus} {
		f := newFiller(codec)
		f.size = 1
		f.put(true, true)
		for range len(f.slots) - 1 {
			f.at = f.at.Add(-10*time.Millisecond + time.Microsecond)
			f.put(false, true)
		}
		f.check(t)
		if f.Tail() != 0 {
			t.Errorf("%s: tail %d before the ring is full", codec.Name, f.Tail())
		}
		f.put(false, true)
		f.check(t)
		if f.Tail() != 1 || f.Get(0) != nil || f.Get(1) == nil {
			t.Errorf("%s: tail %d, want 1", codec.Name, f.Tail())
		}
		if _, ok := f.Keyframe(); ok != (codec.Name == Opus) {
			t.Errorf("%s: the key frame is there: %v", codec.Name, ok)
		}
	}
}

func TestLayerIsBoundedInBytes(t *testing.T) {
	f := newFiller(testVP8)
	f.size = (layerBytes/1000 - packetCost) * 8 / 9
	f.put(true, true)
	f.putMany(999)
	f.check(t)
	if f.Tail() != 0 {
		t.Errorf("tail %d before the bound", f.Tail())
	}
	f.putMany(1)
	f.check(t)
	if _, ok := f.Keyframe(); ok || f.Tail() == 0 {
		t.Errorf("tail %d, key frame %v after the bound", f.Tail(), ok)
	}
	f.putMany(5000)
	f.check(t)
	f.put(true, true)
	if k, ok := f.Keyframe(); !ok || k != f.Head()-1 {
		t.Error("no key frame after recovery")
	}
}

func TestLayerWithGaps(t *testing.T) {
	f := newFiller(testVP8)
	f.put(true, false)
	f.put(false, true) // whole
	f.seq++
	f.put(false, true)
	if k, ok := f.Keyframe(); !ok || k != 0 {
		t.Error("a loss after the key frame has taken it away")
	}
	f.put(true, false)
	f.seq++ // within
	f.put(false, false)
	if _, ok := f.Keyframe(); ok {
		t.Error("half a key frame is offered")
	}
	f.put(false, true)
	f.put(true, true)
	if k, ok := f.Keyframe(); !ok || k != f.Head()-1 {
		t.Error("the next one is not offered")
	}
	f.seq++
	f.put(true, false) // the loss was before it
	if k, ok := f.Keyframe(); !ok || k != f.Head()-1 {
		t.Error("a loss before the key frame has taken it away")
	}
	if s := f.Stats(); s.Lost != 3 || s.Keyframes != 4 || s.Packets != 8 || s.Bytes != 800 {
		t.Errorf("%+v", s)
	}
	f.check(t)

	f = newFiller(testVP8)
	f.put(true, true)
	for range 40 { // around the ring several times with gaps of every kind
		for gap := range int64(64) {
			f.seq += gap * 11
			f.put(gap == 20, gap%3 == 0)
		}
		f.check(t)
	}
	f.seq += 3 * videoSlots
	f.put(false, true)
	f.check(t)
	if f.Tail() != f.Head()-1 {
		t.Errorf("tail %d, head %d after a gap larger than the ring", f.Tail(), f.Head())
	}
}

func TestLayerReaders(t *testing.T) {
	f := newFiller(testOpus)
	if _, ok := f.Keyframe(); ok || f.Get(0) != nil || f.Get(-1) != nil {
		t.Error("something in an empty layer")
	}
	if _, ok := f.Clock(); ok {
		t.Error("a clock without a packet")
	}
	f.putMany(3)
	if k, ok := f.Keyframe(); !ok || k != 2 {
		t.Errorf("audio starts at %d", k)
	}
	if f.Get(3) != nil || f.Get(2).Seq != 2 || f.Get(2-audioSlots) != nil || f.Get(2+audioSlots) != nil {
		t.Error("Get returns another packet")
	}
}

func TestFollow(t *testing.T) {
	l := newLayer("", testVP8, newBudget(1<<40, nil))
	one, two := make(chan struct{}, 1), make(chan struct{}, 1)
	first := l.Follow(one)
	again := l.Follow(one)
	other := l.Follow(two)
	l.wake()
	l.wake() // the channels are full: it must not wait
	if len(one) != 1 || len(two) != 1 {
		t.Error("not woken")
	}
	<-one
	<-two
	first()
	l.wake()
	if len(one) != 1 || len(two) != 1 {
		t.Error("one has followed twice and given up once, and is not woken")
	}
	<-one
	<-two
	again()
	other()
	l.wake()
	if len(one)+len(two) != 0 || len(*l.followers.Load()) != 0 {
		t.Error("woken after unfollow")
	}
}

func TestDurationToUnits(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		rate uint32
		want int64
	}{
		{time.Second, 90000, 90000}, {20 * time.Millisecond, 48000, 960}, {-time.Second, 8000, -8000},
		{100 * 365 * 24 * time.Hour, 90000, 100 * 365 * 24 * 3600 * 90000}, {time.Nanosecond, 90000, 0},
	} {
		if got := durationToUnits(test.d, test.rate); got != test.want {
			t.Errorf("%v at %d: %d, want %d", test.d, test.rate, got, test.want)
		}
	}
	c := Clock{Wall: testTime, Timestamp: 1000}
	if got := c.TimestampAt(testTime.Add(-10*time.Millisecond), 90000); got != 100 {
		t.Errorf("timestamp %d", got)
	}
}

// Where the marker is set inside frames, or never, the timestamps say which packets are of the key frame.
func TestLayerWithWrongMarkers(t *testing.T) {
	for _, marked := range []bool{true, false} {
		f := newFiller(testVP8)
		put := func(timestamp int64, keyframe bool) {
			f.append(&Packet{Seq: f.seq, Timestamp: timestamp, Arrival: f.at, Payload: []byte{1}, Keyframe: keyframe,
				FrameEnd: marked})
			f.seq++
		}
		put(900, true)
		put(900, false)
		put(1800, false)
		f.seq++
		put(1800, false)
		if k, ok := f.Keyframe(); !ok || k != 0 {
			t.Errorf("marked %v: a loss after the key frame has taken it away", marked)
		}
		put(2700, true)
		f.seq++
		put(2700, false)
		if _, ok := f.Keyframe(); ok {
			t.Errorf("marked %v: half a key frame is offered", marked)
		}
	}
}
