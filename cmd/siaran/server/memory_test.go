package server

import (
	"testing"

	"siaran"
	"siaran/internal/codec"
)

// TestRingMemory is a quarter of what there is, and never so little that nobody can broadcast.
func TestRingMemory(t *testing.T) {
	if all := memoryIn([]byte("MemTotal:       16384 kB\nMemFree: 1 kB\n"), 1); all != 16<<20 {
		t.Errorf("%d bytes", all)
	}
	if all := memoryIn([]byte("junk"), 7); all != 7 {
		t.Errorf("%d bytes where nothing is said", all)
	}
	if n := ringMemory(); n < leastRingMemory {
		t.Errorf("%d bytes", n)
	}
	for text, want := range map[string]ByteSize{"16777216": 16 << 20, "512M": 512 << 20, "2G": 2 << 30, "64k": 64 << 10} {
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s: %d, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1T", "9999999999999999999", "9999999999G", "1.5G"} {
		if err := new(ByteSize).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	h := siaran.NewHub(0, codec.NewFramer)
	h.LimitMemory(leastRingMemory)
	defer h.Close()
	tracks := []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: []string{"h", "m", "l"}},
		{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000}},
	}
	if _, err := h.Publish("cats", "key", tracks); err != nil {
		t.Errorf("the least is too little for one broadcast: %v", err)
	}
}
