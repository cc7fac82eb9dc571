package siaran

import (
	"fmt"
	"testing"
)

func TestUnwrapFromManyStarts(t *testing.T) {
	steps := []int64{1, 1, 100, -50, 51, 1, 30000, -1, 2, 32767, -32767, 32767, 1, 1}
	for start := int64(-40); start <= 40; start++ {
		t.Run(fmt.Sprint(start), func(t *testing.T) {
			var u16 Unwrapper16
			var u32 Unwrapper32
			n16, n32 := int64(uint16(start)), int64(uint32(start))
			check := func() {
				t.Helper()
				if got := u16.Unwrap(uint16(n16)); got != n16 {
					t.Fatalf("16 bits: got %d, want %d", got, n16)
				}
				if got := u32.Unwrap(uint32(n32)); got != n32 {
					t.Fatalf("32 bits: got %d, want %d", got, n32)
				}
			}
			check()
			for range 20 {
				for _, step := range steps {
					n16 += step
					n32 += step * 65537
					check()
				}
			}
		})
	}
}
