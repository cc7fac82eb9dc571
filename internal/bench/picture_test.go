package bench

import (
	"bytes"
	"os"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

func TestPictureIsWellFormed(t *testing.T) {
	for _, bitrate := range []int{minBitrate, 300_000, 1_000_000, 2_500_000, 8_000_000, maxBitrate} {
		for _, every := range []int{1, 30, 60, 300} {
			p := newPicture(bitrate, 30, every)
			total := 0
			frames := max(every*2, 30)
			for n := range frames {
				key := n%every == 0
				for _, s := range p.next(key) {
					total += len(s.nal)
					if len(s.nal) > maxPayload {
						t.Fatalf("%d bit/s: a slice of %d bytes", bitrate, len(s.nal))
					}
					if bytes.Contains(s.nal, []byte{0, 0}) || s.nal[len(s.nal)-1] == 0 {
						t.Fatalf("%d bit/s: a slice needs escapes", bitrate)
					}
					if s.stampAt < 2 || s.stampAt+stampSize > len(s.nal) {
						t.Fatalf("%d bit/s: no room for the stamp", bitrate)
					}
					if got := h264.IsRandomAccess([][]byte{s.nal}); got != key {
						t.Fatalf("key frame %v, want %v", got, key)
					}
				}
			}
			got := float64(total) * 8 * 30 / float64(frames)
			reachable := every > 1 && bitrate >= 300_000
			if reachable && (got < float64(bitrate)*0.97 || got > float64(bitrate)*1.04) {
				t.Errorf("%.0f bit/s with a key frame every %d frames, want %d", got, every, bitrate)
			}
		}
	}
}

func TestParameterSets(t *testing.T) {
	var sps h264.SPS
	if err := sps.Unmarshal(sequenceParameterSet()); err != nil {
		t.Fatal(err)
	}
	if sps.Width() != pictureWidth || sps.Height() != pictureHeight {
		t.Errorf("%d x %d", sps.Width(), sps.Height())
	}
	if b := append(sequenceParameterSet(), pictureParameterSet()...); bytes.Contains(b, []byte{0, 0, 0}) {
		t.Error("parameter sets need escapes")
	}
}

// TestWriteAnnexB writes the stream to the file that BENCH_H264 names, to look at it in a player.
func TestWriteAnnexB(t *testing.T) {
	var out bytes.Buffer
	p := newPicture(2_500_000, 30, 60)
	for n := range 120 {
		if n%60 == 0 {
			out.Write(append([]byte{0, 0, 0, 1}, sequenceParameterSet()...))
			out.Write(append([]byte{0, 0, 0, 1}, pictureParameterSet()...))
		}
		for _, s := range p.next(n%60 == 0) {
			out.Write(append([]byte{0, 0, 0, 1}, s.nal...))
		}
	}
	if name := os.Getenv("BENCH_H264"); name != "" {
		if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
