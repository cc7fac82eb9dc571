package bench

import "math/bits"

// bitWriter writes a NAL unit of H264. It need not escape (H.264 section 7.4.1): what is written here never has two
// zero bytes in a row, which the tests check.
type bitWriter struct {
	bytes []byte
	free  int // bits of the last byte
}

func newBits(header byte) *bitWriter {
	return &bitWriter{bytes: append(make([]byte, 0, maxPayload), header)}
}

// put writes the lowest n bits of v.
func (w *bitWriter) put(v uint32, n int) {
	for n--; n >= 0; n-- {
		if w.free == 0 {
			w.bytes, w.free = append(w.bytes, 0), 8
		}
		w.free--
		w.bytes[len(w.bytes)-1] |= byte(v>>n&1) << w.free
	}
}

// unsigned writes ue(v), which for 0 is also se(v) (H.264 section 9.1).
func (w *bitWriter) unsigned(v uint32) {
	n := bits.Len32(v + 1)
	w.put(0, n-1)
	w.put(v+1, n)
}

// raw writes the samples of an I_PCM macroblock, which vary around grey, and returns where they begin.
func (w *bitWriter) raw(seed int) (start int) {
	w.free = 0
	start = len(w.bytes)
	for i := range rawBlock {
		w.bytes = append(w.bytes, byte(0x70+(i*7+seed*13)&0x1f))
	}
	return start
}

// finish ends the unit.
func (w *bitWriter) finish() []byte {
	w.put(1, 1)
	return w.bytes
}
