package codec

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"siaran"
)

// recorded is a packet of testdata/frames.
type recorded struct {
	timestamp int64
	marker    bool
	payload   []byte
}

func readRecorded(t testing.TB, name string) (packets []recorded) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "frames", name))
	if err != nil {
		t.Fatal(err)
	}
	for len(data) >= 7 {
		size := int(binary.BigEndian.Uint16(data))
		packets = append(packets, recorded{int64(binary.BigEndian.Uint32(data[2:])), data[6] != 0, data[7 : 7+size]})
		data = data[7+size:]
	}
	return packets
}

// firsts are the indices at which frames begin.
func firsts(packets []recorded) (list []int) {
	for i, p := range packets {
		if i == 0 || p.timestamp != packets[i-1].timestamp {
			list = append(list, i)
		}
	}
	return list
}

func frames(codec siaran.CodecName, packets []recorded) []siaran.Frame {
	f := NewFramer(codec)
	list := make([]siaran.Frame, len(packets))
	for i, p := range packets {
		list[i] = f.Next(p.payload, p.timestamp, p.marker)
	}
	return list
}

func keyframesOf(list []siaran.Frame) (keys []int) {
	for i, f := range list {
		if f.Keyframe {
			keys = append(keys, i)
		}
	}
	return keys
}

var recordings = []struct {
	file  string
	codec siaran.CodecName
}{
	{"h264.rtp", siaran.H264},
	{"h264-slices.rtp", siaran.H264},
	{"h264-stap.rtp", siaran.H264},
	{"h264-refresh.rtp", siaran.H264},
	{"h265.rtp", siaran.H265},
	{"vp8.rtp", siaran.VP8},
	{"vp8-pion.rtp", siaran.VP8},
	{"vp9.rtp", siaran.VP9},
	{"vp9-flexible.rtp", siaran.VP9},
	{"vp9-structure.rtp", siaran.VP9},
	{"av1-aom.rtp", siaran.AV1},
	{"av1-svt.rtp", siaran.AV1},
}

func TestFramerOnRealEncoders(t *testing.T) {
	for _, r := range recordings {
		t.Run(r.file, func(t *testing.T) {
			packets := readRecorded(t, r.file)
			starts := firsts(packets)
			if len(starts) != 10 {
				t.Fatalf("%d frames, want 10", len(starts))
			}
			got := frames(r.codec, packets)
			if keys, want := keyframesOf(got), []int{starts[0], starts[5]}; !slices.Equal(keys, want) {
				t.Errorf("key frames begin at %v, want %v", keys, want)
			}
			sized := false
			for i, f := range got {
				if last := i == len(got)-1 || slices.Contains(starts, i+1); f.End != last {
					t.Errorf("packet %d: end of frame %v, want %v", i, f.End, last)
				}
				if f.Width != 0 {
					sized = true
					if f.Width != 320 || f.Height != 240 {
						t.Errorf("packet %d: %dx%d", i, f.Width, f.Height)
					}
				}
				if f.Prefix != nil {
					t.Errorf("packet %d has a prefix", i)
				}
			}
			if !sized {
				t.Error("no packet tells the size")
			}
		})
	}
}

// Whatever number of packets at the beginning of a key frame is missing, what is left of it is no
// key frame to start from, unless the parameter sets are known and the picture itself is whole.
func TestFramerNeedsTheFirstPacketOfAKeyframe(t *testing.T) {
	for _, r := range recordings {
		t.Run(r.file, func(t *testing.T) {
			packets := readRecorded(t, r.file)
			starts := firsts(packets)
			for missing := 1; missing < starts[1]; missing++ {
				if keys := keyframesOf(frames(r.codec, packets[missing:starts[1]])); len(keys) > 0 {
					t.Errorf("%d packets missing: key frame at %v", missing, keys)
				}
			}
			f := NewFramer(r.codec)
			for i, p := range packets {
				if i == starts[5] {
					continue
				}
				if i == starts[5]+1 {
					f.Lost()
				}
				if f.Next(p.payload, p.timestamp, p.marker).Keyframe && i > starts[5] {
					t.Errorf("packet %d taken for the beginning of the second key frame", i)
				}
			}
		})
	}
}

func TestFramerTakesEveryPacketOfAudio(t *testing.T) {
	for _, codec := range []siaran.CodecName{siaran.Opus, siaran.PCMU, siaran.PCMA, siaran.G722} {
		f := NewFramer(codec)
		f.Lost()
		if got := f.Next([]byte{1}, 0, false); !got.Keyframe || !got.End {
			t.Errorf("%s: %+v", codec, got)
		}
	}
}

// FuzzFramer takes packets as they are stored in testdata/frames.
func FuzzFramer(f *testing.F) {
	names := []siaran.CodecName{siaran.H264, siaran.H265, siaran.VP8, siaran.VP9, siaran.AV1}
	for _, r := range recordings {
		var data []byte
		for _, p := range readRecorded(f, r.file)[:5] {
			payload := p.payload[:min(len(p.payload), 100)] // short, so that few mutations are wasted
			data = binary.BigEndian.AppendUint16(data, uint16(len(payload)))
			data = append(binary.BigEndian.AppendUint32(data, uint32(p.timestamp)), 0)
			data = append(data, payload...)
		}
		f.Add(uint8(slices.Index(names, r.codec)), data)
	}
	f.Fuzz(func(t *testing.T, codec uint8, data []byte) {
		name := names[int(codec)%len(names)]
		framer := NewFramer(name)
		for len(data) >= 7 {
			size := min(int(binary.BigEndian.Uint16(data)), len(data)-7)
			if data[6]&2 != 0 {
				framer.Lost()
			}
			frame := framer.Next(data[7:7+size], int64(binary.BigEndian.Uint32(data[2:])), data[6]&1 != 0)
			if len(frame.Prefix) > 0 && !frame.Keyframe || len(frame.Prefix) > 3 {
				t.Fatalf("%s: %d packets before a packet that is no key frame's first", name, len(frame.Prefix))
			}
			for _, set := range frame.Prefix {
				if len(set) == 0 || len(set) > 1200 {
					t.Fatalf("%s: a packet of %d bytes", name, len(set))
				}
			}
			if frame.Width < 0 || frame.Width > 1<<14 || (frame.Width == 0) != (frame.Height == 0) {
				t.Fatalf("%s: %dx%d", name, frame.Width, frame.Height)
			}
			data = data[7+size:]
		}
	})
}
