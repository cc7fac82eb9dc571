package ingest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
)

// recorded reads packets as internal/codec/testdata/frames/README.md has them, one a millisecond.
func recorded(t testing.TB, name string) (list []packet) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "internal", "codec", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1e9, 0)
	for len(data) >= 7 {
		size := int(binary.BigEndian.Uint16(data))
		at = at.Add(time.Millisecond)
		list = append(list, packet{
			seq: int64(len(list)), timestamp: int64(binary.BigEndian.Uint32(data[2:])), marker: data[6] != 0,
			payload: data[7 : 7+size], arrival: at,
		})
		data = data[7+size:]
	}
	return list
}

// mend gives packets to a frameFixer. What is still held at the end is overdue.
func mend(m *frameFixer, in []packet) (out []packet) {
	emit := func(p packet) { out = append(out, p) }
	for _, p := range in {
		m.put(p, emit)
	}
	m.flushStale(in[len(in)-1].arrival.Add(time.Hour), emit)
	return out
}

func TestMarkersArePutRight(t *testing.T) {
	right := recorded(t, "frames/h264-slices.rtp")
	right = slices.Concat(right, right, right, right)
	for i := range right {
		right[i].seq = int64(i)
		if i > 0 {
			right[i].timestamp = right[i-1].timestamp
			if right[i-1].marker {
				right[i].timestamp += 3000
			}
		}
	}
	for name, marked := range map[string]func(i int) bool{
		"always": func(int) bool { return true },
		"never":  func(int) bool { return false },
	} {
		in := slices.Clone(right)
		for i := range in {
			in[i].marker = marked(i)
		}
		var m frameFixer
		out := mend(&m, in)
		if len(out) != len(in) || !m.wrong {
			t.Fatalf("%s: %d packets of %d, wrong: %v", name, len(out), len(in), m.wrong)
		}
		bad := make(map[int64]bool) // frames
		for i, p := range out {
			if p.seq != in[i].seq || !bytes.Equal(p.payload, in[i].payload) {
				t.Fatalf("%s: packet %d is %d", name, in[i].seq, p.seq)
			}
			if p.marker != right[i].marker {
				bad[p.timestamp] = true
			}
		}
		if len(bad) == 0 || len(bad) > markerFaults {
			t.Errorf("%s: the markers of %d frames are wrong", name, len(bad))
		}
	}
	var m frameFixer
	if out := mend(&m, right); m.wrong || m.faults > 0 || !slices.EqualFunc(out, right, samePacket) {
		t.Error("packets with right markers were changed")
	}
}

func samePacket(a, b packet) bool {
	return a.seq == b.seq && a.timestamp == b.timestamp && a.marker == b.marker && bytes.Equal(a.payload, b.payload)
}

// Nothing waits where the markers are right, also when packets are lost, or are padding alone behind a frame.
func TestRightMarkersHoldNothingBack(t *testing.T) {
	for _, file := range []string{"frames/h264.rtp", "frames/vp8.rtp", "frames/vp9-flexible.rtp", "frames/av1-aom.rtp"} {
		in := recorded(t, file)
		m := frameFixer{av1: file == "frames/av1-aom.rtp"}
		emitted := 0
		for i, p := range in {
			if i%7 == 3 {
				continue
			}
			p.seq = int64(2 * i)
			given := []packet{p}
			if p.marker {
				given = append(given, packet{seq: p.seq + 1, timestamp: p.timestamp, arrival: p.arrival})
			}
			for _, p := range given {
				before := emitted
				if m.put(p, func(packet) { emitted++ }); emitted != before+1 {
					t.Fatalf("%s: packet %d waits", file, i)
				}
			}
		}
	}
}

// A packet after which none comes is the last of its frame.
func TestAHeldPacketDoesNotWaitForEver(t *testing.T) {
	m := frameFixer{wrong: true}
	var out []packet
	emit := func(p packet) { out = append(out, p) }
	at := time.Unix(1e9, 0)
	m.put(packet{seq: 1, timestamp: 7, payload: []byte{1}, arrival: at}, emit)
	m.flushStale(at.Add(maxFixDelay), emit)
	if len(out) != 0 {
		t.Fatal("it was given up on too early")
	}
	m.flushStale(at.Add(maxFixDelay+1), emit)
	m.flushStale(at.Add(time.Hour), emit)
	if len(out) != 1 || !out[0].marker {
		t.Errorf("%+v", out)
	}
}

// A few faults in a long time change nothing.
func TestMarkerFaultsAreForgotten(t *testing.T) {
	var m frameFixer
	for n := range int64(20 * markerMemory) {
		m.put(packet{seq: n, timestamp: n, marker: n%(markerMemory+10) != 5, payload: []byte{1}}, func(packet) {})
	}
	if m.wrong {
		t.Error("the markers are not believed any more")
	}
}

// Of OBS's SVT-AV1, each frame in a temporal unit begins a packet without Z.
func TestFramesOfATemporalUnitAreJoined(t *testing.T) {
	in := recorded(t, "obs/av1-svt.rtp")
	split := func(list []packet) (n int) {
		for i, p := range list[1:] {
			if p.timestamp == list[i].timestamp && p.payload[0]&0x80 == 0 {
				n++
			}
		}
		return n
	}
	if split(in) == 0 {
		t.Fatal("the recording shows nothing")
	}
	m := frameFixer{av1: true}
	out := mend(&m, in)
	if n := split(out); n > 0 || len(out) != len(in) {
		t.Errorf("%d packets begin a frame inside their unit; %d packets of %d", n, len(out), len(in))
	}
	for i, p := range out {
		if len(p.payload) > 1204 || p.seq != in[i].seq || p.marker != in[i].marker || p.timestamp != in[i].timestamp {
			t.Errorf("packet %d: %d bytes, number %d", i, len(p.payload), p.seq)
		}
	}
	a, b := codec.NewFramer(siaran.AV1), codec.NewFramer(siaran.AV1)
	for i := range in {
		before := a.Next(in[i].payload, in[i].timestamp, in[i].marker)
		after := b.Next(out[i].payload, out[i].timestamp, out[i].marker)
		if before.Keyframe != after.Keyframe || before.Width != after.Width {
			t.Errorf("packet %d: %+v, not %+v", i, after, before)
		}
		if i == 0 && (!after.Keyframe || after.Width != 640 || after.Height != 360) {
			t.Errorf("the first packet: %+v", after)
		}
	}
}
