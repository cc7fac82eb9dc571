package codec

import (
	"bytes"
	"slices"
	"testing"

	"siaran"
)

// recordedSets are the parameter sets of a recording.
func recordedSets(t *testing.T, file string, grammar nalGrammar) (list [][]byte) {
	t.Helper()
	for _, p := range readRecorded(t, file) {
		for _, u := range grammar.split(nil, p.payload) {
			switch grammar.kind(u) {
			case unitVPS, unitSPS, unitPPS:
				if !slices.ContainsFunc(list, func(s []byte) bool { return bytes.Equal(s, u.whole) }) {
					list = append(list, bytes.Clone(u.whole))
				}
			}
		}
	}
	return list
}

// NAL units of which only the beginning matters. The slices begin with first_mb_in_slice 0, and slice_type 7 (I) or 5
// (P).
var (
	h264IDR      = []byte{0x65, 0x88, 0x84, 0}
	h264IDRLater = []byte{0x65, 0x28, 0x84, 0}
	h264I        = []byte{0x41, 0x88, 0x84, 0}
	h264P        = []byte{0x41, 0x9a, 0x84, 0}
	h264AUD      = []byte{0x09, 0xf0}
	h264SEI      = []byte{0x06, 5, 1, 0xaa, 6, 1, 0xc4, 0x80} // some user data, and a recovery point
	h264UserData = []byte{0x06, 5, 1, 0xaa, 0x80}
)

func fragmentsOf(nal []byte, filler int) (first, last []byte) {
	first = append([]byte{nal[0]&0xe0 | h264FUA, 0x80 | nal[0]&0x1f},
		append(slices.Clone(nal[1:]), make([]byte, filler)...)...)
	return first, []byte{nal[0]&0xe0 | h264FUA, 0x40 | nal[0]&0x1f, 1, 2, 3}
}

func TestFramerH264(t *testing.T) {
	sets := recordedSets(t, "h264.rtp", h264Grammar{})
	if len(sets) != 2 {
		t.Fatalf("%d parameter sets", len(sets))
	}
	sps, pps := sets[0], sets[1]
	stap := func(nals ...[]byte) []byte { return h264Grammar{}.aggregate(nals) }
	fuFirst, fuLast := fragmentsOf(h264IDR, 1000)
	otherPPS := []byte{0x68, 0x5b, 0x8f, 0x20} // id 1

	// A frame is a list of packets; frames have timestamps 0, 3000, ... and the last packet of each has the marker.
	type frame [][]byte
	tests := []struct {
		name   string
		frames []frame
		keys   []int    // packets
		prefix [][]byte // of the last key
	}{
		{"sets in packets of their own", []frame{{sps, pps, h264IDR}, {h264P}, {sps, pps, fuFirst, fuLast}}, []int{0, 4},
			nil},
		{"all in one packet", []frame{{stap(sps, pps, h264IDR)}, {h264P}, {stap(h264AUD, sps, pps, h264SEI, h264IDR)}},
			[]int{0, 2}, nil},
		{"delimiter before", []frame{{h264AUD, sps, pps, h264IDR}, {h264AUD, h264P}}, []int{1}, nil},
		{"sets once", []frame{{sps, pps, h264IDR}, {h264P}, {h264IDR}}, []int{0, 4}, [][]byte{stap(sps, pps)}},
		{"sets once, then fragments", []frame{{sps, pps, h264IDR}, {h264P}, {fuFirst, fuLast}}, []int{0, 4},
			[][]byte{stap(sps, pps)}},
		{"sets once, user data before the picture", []frame{{sps, pps, h264IDR}, {h264P}, {h264UserData, h264IDR}},
			[]int{0, 5}, [][]byte{stap(sps, pps)}},
		{"two picture parameter sets", []frame{{sps, pps, otherPPS, h264IDR}, {h264IDR}}, []int{0, 4},
			[][]byte{stap(sps, pps, otherPPS)}},
		{"sets before the stream is decodable", []frame{{sps, pps}, {h264IDR}}, []int{0, 2}, [][]byte{stap(sps, pps)}},
		{"no sets", []frame{{h264IDR}, {h264P}}, nil, nil},
		{"sequence set only", []frame{{sps}, {h264IDR}}, []int{0}, nil},
		{"later slice", []frame{{sps, pps, h264IDR, h264IDRLater}, {h264IDRLater}}, []int{0}, nil},
		{"later fragment", []frame{{sps, pps, h264IDR}, {fuLast}}, []int{0}, nil},
		{"second field", []frame{{sps, pps, h264IDR, h264P}, {sps, pps, h264IDR}}, []int{0, 4}, nil},
		{"recovery point with sets", []frame{{sps, pps, h264SEI, h264P}, {h264P}, {sps, pps, h264SEI, h264P}}, []int{0, 5},
			nil},
		{"recovery point without sets", []frame{{sps, pps, h264IDR}, {h264SEI, h264P}}, []int{0}, nil},
		{"intra picture with sets", []frame{{sps, pps, h264I}, {h264I}}, []int{0}, nil},
		{"sets before other frames, one packet", []frame{{stap(sps, pps, h264IDR)}, {stap(sps, pps, h264P)},
			{stap(sps, pps, h264IDR)}}, []int{0, 2}, nil},
		// The first time this is not known; afterwards the picture itself decides.
		{"sets before other frames", []frame{{sps, pps, h264IDR}, {sps, pps, h264P}, {sps, pps, h264P}, {sps, pps, h264IDR}},
			[]int{0, 3, 11}, [][]byte{stap(sps, pps)}},
		{"nonsense", []frame{{{}, {24}, {24, 0, 9, 1}, {28}, {28, 0x87}, {0}, {31, 1, 2}, {0x67}, {0x67, 0xff}, {0x65}}}, nil,
			nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := NewFramer(siaran.H264)
			var keys []int
			var prefix [][]byte
			n := 0
			for i, packets := range test.frames {
				for j, payload := range packets {
					got := f.Next(payload, int64(i)*3000, j == len(packets)-1)
					if got.Keyframe {
						keys, prefix = append(keys, n), got.Prefix
					} else if got.Prefix != nil {
						t.Errorf("packet %d has a prefix and is no key frame's first", n)
					}
					n++
				}
			}
			if !slices.Equal(keys, test.keys) {
				t.Errorf("key frames begin at %v, want %v", keys, test.keys)
			}
			if !slices.EqualFunc(prefix, test.prefix, bytes.Equal) {
				t.Errorf("prefix %x, want %x", prefix, test.prefix)
			}
		})
	}
}

func TestFramerH265PutsSetsBefore(t *testing.T) {
	sets := recordedSets(t, "h265.rtp", h265Grammar{})
	if len(sets) != 3 {
		t.Fatalf("%d parameter sets", len(sets))
	}
	irap, trail := []byte{20 << 1, 1, 0xaf, 0}, []byte{1 << 1, 1, 0xd0, 0}
	f := NewFramer(siaran.H265)
	var keys []int
	for i, payload := range append(slices.Clone(sets), irap, trail, irap) {
		frame := f.Next(payload, int64(max(0, i-3))*3000, i >= 3)
		if frame.Keyframe {
			keys = append(keys, i)
		}
		if i == 5 {
			if want := (h265Grammar{}).aggregate(sets); len(frame.Prefix) != 1 || !bytes.Equal(frame.Prefix[0], want) {
				t.Errorf("prefix %x, want %x", frame.Prefix, want)
			}
			if frame.Width != 320 || frame.Height != 240 {
				t.Errorf("%dx%d", frame.Width, frame.Height)
			}
		}
	}
	if want := []int{0, 5}; !slices.Equal(keys, want) {
		t.Errorf("key frames begin at %v, want %v", keys, want)
	}

	// With the VPS lost, the SPS is not the first packet.
	f = NewFramer(siaran.H265)
	for _, payload := range append(slices.Clone(sets), irap) {
		f.Next(payload, 0, false)
	}
	f.Lost()
	for i, payload := range append(slices.Clone(sets[1:]), irap) {
		frame := f.Next(payload, 9000, false)
		if last := i == 2; frame.Keyframe != last || last && len(frame.Prefix) != 1 {
			t.Errorf("packet %d after the loss: %+v", i, frame)
		}
	}
}

// The sets that the slice needs come before all others, and as many of those as fit into the packet.
func TestParameterSetsThatDoNotFitTogether(t *testing.T) {
	sps := recordedSets(t, "h264.rtp", h264Grammar{})[0]
	pps := func(id uint, size int) []byte {
		return append(append([]byte{0x68}, exponential(id, 0)...), make([]byte, size)...)
	}
	stap := func(nals ...[]byte) [][]byte { return [][]byte{h264Grammar{}.aggregate(nals)} }
	for _, test := range []struct {
		size int
		want [][]byte
	}{
		{100, stap(sps, pps(0, 100), pps(7, 100), pps(6, 100), pps(5, 100), pps(4, 100), pps(3, 100), pps(2, 100),
			pps(1, 100))},
		{300, stap(sps, pps(0, 300), pps(7, 300), pps(6, 300))},
		{1090, [][]byte{sps, pps(0, 1090)}},
	} {
		f := NewFramer(siaran.H264)
		f.Next(sps, 0, false)
		for id := range uint(8) {
			f.Next(pps(id, test.size), 0, false)
		}
		sps[0] ^= 0x20 // the framer has its own copy
		frame := f.Next(h264IDR, 3000, true)
		sps[0] ^= 0x20
		if !frame.Keyframe || !slices.EqualFunc(frame.Prefix, test.want, bytes.Equal) {
			t.Errorf("sets of %d bytes: %d packets before, %x", test.size, len(frame.Prefix), frame.Prefix)
		}
	}
}

func TestIsRecoveryPoint(t *testing.T) {
	for sei, want := range map[string]bool{
		"\x06\x01\xc4\x80":                 true,
		"\x05\x02\xaa\xbb\x06\x01\xc4\x80": true,
		"\xff\x01\x01\xaa\x06\x01\xc4\x80": true, // a message of type 256
		"\x05\xff\x01\xaa\x06\x01\xc4\x80": false,
		"\x05\x01\xaa\x80":                 false,
		"\xff\xff\xff":                     false,
		"":                                 false,
		"\x05":                             false,
		"\x05\x09\x06\x06\x06\x06\x06\x06\x06\x06": false,
	} {
		if got := isRecoveryPoint([]byte(sei)); got != want {
			t.Errorf("%x: %v", sei, got)
		}
	}
}

func TestFramerAfterALoss(t *testing.T) {
	sets := recordedSets(t, "h264.rtp", h264Grammar{})
	sps, pps := sets[0], sets[1]
	other := recordedSets(t, "h264-slices.rtp", h264Grammar{})[0]
	f := NewFramer(siaran.H264)
	next := func(payload []byte, timestamp int64, marker, key, prefixed bool) {
		t.Helper()
		if got := f.Next(payload, timestamp, marker); got.Keyframe != key || (got.Prefix != nil) != prefixed {
			t.Errorf("%x at %d: %+v", payload[0], timestamp, got)
		}
	}
	next(sps, 0, false, true, false)
	next(pps, 0, false, false, false)
	next(h264IDR, 0, true, false, false)

	next(sps, 3000, false, true, false) // then the PPS is lost: it is the picture that can be begun with
	f.Lost()
	next(h264IDR, 3000, true, true, true)

	f.Lost() // the encoder repeats its SPS, so one is missing, and who knows what it said
	next(pps, 6000, false, false, false)
	next(h264IDR, 6000, true, false, false)

	next(h264IDR, 9000, true, true, true) // nothing lost, nothing repeated
	f.Lost()
	next(h264IDR, 12000, true, true, true) // it does not repeat them any more

	next(other, 15000, false, true, false) // a new SPS, and its PPS is lost
	f.Lost()
	next(h264IDR, 15000, true, false, false)
}
