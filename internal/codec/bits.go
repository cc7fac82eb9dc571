package codec

import (
	"math"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
)

// bitReader reads numbers of any number of bits. Beyond the end it reads 0 and sets failed.
type bitReader struct {
	data   []byte
	pos    int // in bits
	failed bool
}

func (r *bitReader) read(n int) int {
	if n == 0 {
		return 0
	}
	v, err := bits.ReadBits(r.data, &r.pos, n)
	if err != nil {
		r.failed = true
		return 0
	}
	return int(v)
}

func (r *bitReader) flag() bool { return r.read(1) == 1 }

// uvlc reads a number in uvlc() format (AV1 section 4.10.3).
func (r *bitReader) uvlc() uint32 {
	zeros := 0
	for !r.failed && !r.flag() {
		zeros++
	}
	if zeros >= 32 {
		return math.MaxUint32
	}
	return uint32(r.read(zeros)) + 1<<zeros - 1
}

// golomb reads a number in ue(v) format (H.264 section 9.1).
func (r *bitReader) golomb() int {
	v, err := bits.ReadGolombUnsigned(r.data, &r.pos)
	if err != nil {
		r.failed = true
		return 0
	}
	return int(v)
}
