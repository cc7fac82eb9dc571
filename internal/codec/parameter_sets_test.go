package codec

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"siaran"
)

// bitWriter writes the fields of parameter sets.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) bits(v uint, count int) {
	for i := count - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// golomb writes ue(v) (H.264 section 9.1).
func (w *bitWriter) golomb(v uint) {
	length := 0
	for x := v + 1; x > 1; x >>= 1 {
		length++
	}
	w.bits(0, length)
	w.bits(v+1, length+1)
}

// exponential are ue(v) values, and the trailing bits after them.
func exponential(values ...uint) []byte {
	var w bitWriter
	for _, v := range values {
		w.golomb(v)
	}
	w.bits(1, 1)
	return w.b
}

// setMaker makes the NAL units of one encoder.
type setMaker struct {
	codec         siaran.CodecName
	sps, pps, key func(id, of uint) []byte
	vps           func(id uint) []byte // nil for H264
	maxSPS        uint
	maxPPS        uint
}

func setMakers(t *testing.T) []setMaker {
	t.Helper()
	recorded := recordedSets(t, "h265.rtp", h265Grammar{})
	vps, sps := recorded[0], recorded[1]
	return []setMaker{{
		codec: siaran.H264, maxSPS: 31, maxPPS: 255,
		sps: func(id, _ uint) []byte { // constrained baseline, 320x240
			w := bitWriter{b: []byte{0x67, 0x42, 0xc0, 0x1f}, n: 32}
			for _, v := range []uint{id, 0, 2, 1} {
				w.golomb(v)
			}
			w.bits(0, 1)
			w.golomb(19) // 20 macroblocks wide
			w.golomb(14) // 15 high
			w.bits(0b1100_1, 5)
			return w.b
		},
		pps: func(id, of uint) []byte { return append([]byte{0x68}, exponential(id, of)...) },
		key: func(id, _ uint) []byte { return append([]byte{0x65}, exponential(0, 7, id)...) },
	}, {
		codec: siaran.H265, maxSPS: 15, maxPPS: 63,
		vps: func(id uint) []byte {
			b := bytes.Clone(vps)
			b[2] = b[2]&0x0f | byte(id)<<4
			return b
		},
		sps: func(id, of uint) []byte {
			const head = 2 + 1 + 12 // NAL unit, VPS id and sublayers, profile_tier_level
			w := bitWriter{b: h264.EmulationPreventionRemove(sps)[:head:head], n: 8 * head}
			if w.b[2]>>1&7 != 0 {
				t.Fatal("the recorded SPS has sublayers")
			}
			w.b[2] = w.b[2]&0x0f | byte(of)<<4
			for _, v := range []uint{id, 1, 320, 240} {
				w.golomb(v)
			}
			w.bits(0, 1)
			w.golomb(0)
			w.golomb(0)
			w.golomb(4) // log2_max_pic_order_cnt_lsb_minus4
			w.bits(1, 1)
			return w.b
		},
		pps: func(id, of uint) []byte { return append([]byte{34 << 1, 1}, exponential(id, of)...) },
		key: func(id, _ uint) []byte {
			w := bitWriter{b: []byte{20 << 1, 1}, n: 16}
			w.bits(0b10, 2)
			w.golomb(id)
			w.bits(1, 1)
			return w.b
		},
	}}
}

// A joiner gets the packets from the flagged one on, with the prefix before them: the sets that the slice names must
// be among these, whatever their ids are.
func TestKeyframesAreWholeWhateverTheIDs(t *testing.T) {
	for _, m := range setMakers(t) {
		grammar := NewFramer(m.codec).(*videoFramer).finder.(*nalFinder).grammar
		for name, sent := range map[string]func(n uint) (sets [][]byte, id uint){
			"both grow": func(n uint) ([][]byte, uint) {
				id := n % (m.maxSPS + 1)
				return [][]byte{m.sps(id, 0), m.pps(id, id)}, id
			},
			"in one packet": func(n uint) ([][]byte, uint) {
				id := n % (m.maxSPS + 1)
				return [][]byte{grammar.aggregate([][]byte{m.sps(id, 0), m.pps(id, id)})}, id
			},
			"SPS grow": func(n uint) ([][]byte, uint) {
				id := n % (m.maxSPS + 1)
				return [][]byte{m.sps(id, 0), m.pps(0, id)}, 0
			},
			"PPS grow, one SPS": func(n uint) ([][]byte, uint) {
				id := n % (m.maxPPS + 1)
				if n == 0 {
					return [][]byte{m.sps(0, 0), m.pps(id, 0)}, id
				}
				return [][]byte{m.pps(id, 0)}, id
			},
			"PPS grow, SPS repeated": func(n uint) ([][]byte, uint) {
				id := n % (m.maxPPS + 1)
				return [][]byte{m.sps(0, 0), m.pps(id, 0)}, id
			},
			"all PPS once": func(n uint) (list [][]byte, id uint) {
				if n == 0 {
					list = [][]byte{m.sps(3, 0)}
					for id := range m.maxPPS + 1 {
						list = append(list, m.pps(id, 3))
					}
				}
				return list, n * 7 % (m.maxPPS + 1)
			},
			"SPS repeated, PPS once": func(n uint) (list [][]byte, id uint) {
				list = [][]byte{m.sps(3, 0)}
				if n == 0 {
					list = append(list, m.pps(9, 3))
				}
				return list, 9
			},
		} {
			if m.vps != nil {
				plain := sent
				sent = func(n uint) ([][]byte, uint) {
					sets, id := plain(n)
					if n == 0 {
						sets = append([][]byte{m.vps(0)}, sets...)
					}
					return sets, id
				}
			}
			t.Run(fmt.Sprintf("%s, %s", m.codec, name), func(t *testing.T) {
				f := NewFramer(m.codec)
				known := make(map[setKey][]byte) // as the slices name them
				for n := range uint(600) {
					payloads, id := sent(n)
					payloads = append(payloads, m.key(id, 0))
					var joiner [][]byte
					flagged := false
					for i, payload := range payloads {
						frame := f.Next(payload, int64(n)*90000, i == len(payloads)-1)
						if frame.Keyframe {
							flagged = true
							joiner = slices.Clone(frame.Prefix)
						}
						joiner = append(joiner, payload)
						for _, u := range grammar.split(nil, payload) {
							kind := grammar.kind(u)
							if set, err := grammar.set(kind, u); err == nil && kind >= unitVPS && kind <= unitPPS {
								known[set.key] = u.whole
							}
						}
					}
					if !flagged {
						t.Fatalf("key frame %d is not seen", n)
					}
					pps := known[setKey{unitPPS, int(id)}]
					set, err := grammar.set(unitPPS, grammar.split(nil, pps)[0])
					if err != nil {
						t.Fatal(err)
					}
					for _, want := range [][]byte{pps, known[set.needs]} {
						if !slices.ContainsFunc(joiner, func(b []byte) bool { return bytes.Contains(b, want) }) {
							t.Fatalf("key frame %d: a joiner lacks %x", n, want)
						}
					}
					if len(joiner) > 0 && len(joiner[0]) > maxParameterSet+2 && n > 0 {
						t.Fatalf("a packet of %d bytes", len(joiner[0]))
					}
				}
			})
		}
	}
}

func TestParameterSetsAreBounded(t *testing.T) {
	for _, m := range setMakers(t) {
		f := NewFramer(m.codec)
		sets := &f.(*videoFramer).finder.(*nalFinder).sets
		f.Next(m.sps(0, 0), 0, false)
		for n := range uint(2000) {
			f.Next(append(m.pps(n%300, 0), make([]byte, 900)...), 0, false)
			total := 0
			for _, s := range sets.sets {
				total += len(s.nal)
			}
			if total != sets.bytes || total > maxParameterSets {
				t.Fatalf("%d bytes are kept, counted as %d", total, sets.bytes)
			}
		}
		// What the newest needs has been used with each, and is still there.
		if frame := f.Next(m.key(199, 0), 3000, true); !frame.Keyframe || len(frame.Prefix) == 0 {
			t.Errorf("%s: %+v", m.codec, frame)
		}
	}
}

// Where packets of a frame are missing, a set that may have been among them is not taken from older frames.
func TestAMissingParameterSetIsNotReplaced(t *testing.T) {
	for _, m := range setMakers(t) {
		f := NewFramer(m.codec)
		for n := range uint(3) { // one id for all PPS, which are made for another SPS each time
			f.Next(m.sps(n, 0), int64(n), false)
			f.Next(m.pps(0, n), int64(n), false)
			f.Next(m.key(0, 0), int64(n), true)
		}
		f.Next(m.sps(3, 0), 3, false)
		f.Lost()
		if frame := f.Next(m.key(0, 0), 3, true); frame.Keyframe {
			t.Errorf("%s: with the PPS lost, the one before was taken: %+v", m.codec, frame)
		}
	}
}
