package codec

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"siaran"
)

// With any packets lost, a key frame that is offered to new viewers can be decoded: it is whole from
// its first slice, or what its format has for that, to its end, and its parameter sets come with it.
func TestViewersStartWithWholeKeyframes(t *testing.T) {
	for _, r := range recordings {
		t.Run(r.file, func(t *testing.T) {
			packets := readRecorded(t, r.file)
			const rounds, loss = 20, 10 // one of 10
			offered := 0
			for seed := range uint64(20) {
				random := rand.New(rand.NewPCG(seed, 1))
				h := siaran.NewHub(time.Minute, NewFramer)
				w := writerTo(t, h, r.codec)
				seq, last := int64(0), int64(-1)
				for round := range int64(rounds) {
					for _, p := range packets {
						seq++
						if random.IntN(loss) == 0 {
							continue
						}
						timestamp := round*1_000_000 + p.timestamp - packets[0].timestamp
						arrival := testTime.Add(time.Duration(timestamp) * time.Second / 90000)
						if err := w.Write(seq, timestamp, p.marker, p.payload, arrival); err != nil {
							t.Fatal(err)
						}
						if k, ok := w.Layer().Keyframe(); ok && k != last && w.Layer().Get(w.Layer().Head()-1).FrameEnd {
							last = k
							offered++
							checkStart(t, r.codec, w.Layer(), k, packets)
						}
					}
				}
				h.Close()
			}
			if offered < 20 {
				t.Errorf("only %d key frames offered", offered)
			}
		})
	}
}

// checkStart looks at the key frame at k, whose last packet has come.
func checkStart(t *testing.T, codec siaran.CodecName, l *siaran.Layer, k int64, packets []recorded) {
	t.Helper()
	var got [][]byte
	first := l.Get(k)
	for seq := k; ; seq++ {
		p := l.Get(seq)
		if p == nil || p.Timestamp != first.Timestamp {
			t.Fatalf("key frame of %d packets without an end", len(got))
		}
		got = append(got, p.Payload)
		if p.FrameEnd {
			break
		}
	}
	grammar := map[siaran.CodecName]nalGrammar{siaran.H264: h264Grammar{}, siaran.H265: h265Grammar{}}[codec]
	if grammar != nil {
		sets := make(map[unitKind]bool)
		for _, payload := range got {
			for _, u := range grammar.split(nil, payload) {
				kind := grammar.kind(u)
				sets[kind] = true
				if kind >= unitKey && (!sets[unitSPS] || !sets[unitPPS] || codec == siaran.H265 && !sets[unitVPS]) {
					t.Fatalf("slice before its parameter sets: %v", sets)
				}
			}
		}
		if !sets[unitKey] && !sets[unitRecovery] {
			t.Fatal("no picture to begin with")
		}
	}
	if !slices.ContainsFunc(wholeFrames(packets), func(frame [][]byte) bool {
		return slices.EqualFunc(fromPicture(grammar, frame), fromPicture(grammar, got), bytes.Equal)
	}) {
		t.Fatalf("key frame of %d packets is not whole", len(got))
	}
}

func wholeFrames(packets []recorded) (frames [][][]byte) {
	for i, p := range packets {
		if i == 0 || p.timestamp != packets[i-1].timestamp {
			frames = append(frames, nil)
		}
		last := len(frames) - 1
		frames[last] = append(frames[last], p.payload)
	}
	return frames
}

// fromPicture leaves out what comes before the first slice, where the format has slices.
func fromPicture(grammar nalGrammar, frame [][]byte) [][]byte {
	if grammar == nil {
		return frame
	}
	i := slices.IndexFunc(frame, func(payload []byte) bool {
		return slices.ContainsFunc(grammar.split(nil, payload), func(u unit) bool { return grammar.kind(u) >= unitKey })
	})
	return frame[max(i, 0):]
}
