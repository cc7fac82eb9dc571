package bwe

import (
	"encoding/binary"
	"testing"
	"time"
)

// FuzzFallback holds that whatever a viewer without transport-wide feedback has reported, the target stays within its
// bounds, what is asked for as probes too, and that it comes up again once reports are good.
func FuzzFallback(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 1, 0xff, 0xff, 0, 2, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 50, 2, 0xff, 0xff, 50, 2, 0, 1, 255, 3, 1, 0, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		now := time.Unix(1, 0)
		e := New(now)
		check := func(bytes int) {
			if e.Target() < leastTarget || e.Target() > mostTarget || bytes < 0 || bytes > mostTrain {
				t.Fatalf("target %d, a probe of %d bytes", e.Target(), bytes)
			}
		}
		for ; len(b) >= 4; b = b[4:] {
			n := int(binary.BigEndian.Uint16(b[1:]))
			switch b[0] % 4 {
			case 0:
				e.Sent(now, n)
			case 1:
				e.REMB(uint64(n)<<(b[0]>>2), now)
			case 2:
				e.Loss(n>>4-1000, time.Duration(int8(b[2]))*time.Second/16, now)
			case 3:
				check(e.Probe(now, n<<10, b[0]&4 != 0))
			}
			now = now.Add(time.Duration(b[3]) * 10 * time.Millisecond)
		}
		for range 9000 { // 90 s
			now = now.Add(10 * time.Millisecond)
			e.Sent(now, 70) // sound
			bytes := e.Probe(now, 400_000, true)
			check(bytes)
			if bytes > 0 {
				e.Sent(now, bytes)
			}
			if now.UnixMilli()%1000 < 10 {
				e.Loss(0, 20*time.Millisecond, now)
			}
		}
		if e.Target() < 300_000 {
			t.Errorf("the target is %d after 90 s of good reports", e.Target())
		}
	})
}
