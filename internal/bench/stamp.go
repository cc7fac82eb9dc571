package bench

import (
	"bytes"
	"crypto/rand"
	"time"
)

// stampSize is the bytes of a stamp: 8 for the mark, 5 for the counter, 9 for the time and one checksum.
const stampSize = 8 + 5 + 9 + 1

// stamper writes stamps into payloads and finds them again. A stamp says which packet it is and when it was sent, on
// the clock of this process. All bytes of a stamp have their highest bit set, so that nothing in it looks like the
// beginning of a NAL unit. The mark is random, so that stamps of another process are not mistaken for ours.
type stamper struct {
	mark  [8]byte
	epoch time.Time // time 0 of the stamps
}

func newStamper() *stamper {
	s := &stamper{epoch: time.Now()}
	rand.Read(s.mark[:]) // never fails
	for i := range s.mark {
		s.mark[i] |= 0x80
	}
	return s
}

// now returns the time since the epoch on the monotonic clock.
func (s *stamper) now() time.Duration { return time.Since(s.epoch) }

// put writes a stamp over the first stampSize bytes of b.
func (s *stamper) put(b []byte, counter int64, at time.Duration) {
	copy(b, s.mark[:])
	putSeven(b[8:13], uint64(counter))
	putSeven(b[13:22], uint64(at))
	b[22] = checkByte(b[8:22])
}

// find looks for the first stamp in a payload.
func (s *stamper) find(payload []byte) (counter int64, at time.Duration, ok bool) {
	for {
		i := bytes.Index(payload, s.mark[:])
		if i < 0 || len(payload)-i < stampSize {
			return 0, 0, false
		}
		if b := payload[i:]; b[22] == checkByte(b[8:22]) {
			return int64(seven(b[8:13])), time.Duration(seven(b[13:22])), true
		}
		payload = payload[i+1:]
	}
}

func checkByte(b []byte) byte {
	var sum byte
	for _, c := range b {
		sum = sum<<1 | sum>>7
		sum ^= c
	}
	return sum | 0x80
}

// putSeven writes a number, 7 bits a byte, the highest bits first.
func putSeven(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = 0x80 | byte(v)
		v >>= 7
	}
}

func seven(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<7 | uint64(c&0x7f)
	}
	return v
}
