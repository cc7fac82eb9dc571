package egress

import (
	"testing"
	"time"
)

func TestRepairBudget(t *testing.T) {
	now := time.Unix(100, 0)
	var b repairBudget
	granted := 0
	for n := range int64(10_000) {
		if b.take(now, n, 0, 0) {
			granted++
		}
	}
	if granted != repairBurst {
		t.Errorf("%d at once, want %d", granted, repairBurst)
	}
	now = now.Add(time.Second)
	granted = 0
	for n := range int64(10_000) {
		if b.take(now, 20_000+n, 0, 300) {
			granted++
		}
	}
	if want := repairFloor + 300/repairShare; granted != want {
		t.Errorf("%d after a second and 300 packets, want %d", granted, want)
	}
}

func TestRepairsOfOnePacketAreFew(t *testing.T) {
	now := time.Unix(100, 0)
	for _, number := range []int64{0, 7, 1<<16 - 1, 1 << 16} {
		var b repairBudget
		for _, c := range []struct {
			after time.Duration
			again bool
		}{
			{0, true},
			{5 * time.Millisecond, false},
			{40 * time.Millisecond, false},
			{60 * time.Millisecond, true},
			{70 * time.Millisecond, false},
		} {
			if got := b.take(now.Add(c.after), number, 100*time.Millisecond, 0); got != c.again {
				t.Errorf("number %d after %v: %v", number, c.after, got)
			}
		}
		granted := 2
		for i := range 100 {
			if b.take(now.Add(time.Duration(i+2)*100*time.Millisecond), number, 0, 0) {
				granted++
			}
		}
		if granted != repairTimes {
			t.Errorf("number %d was repaired %d times, want %d", number, granted, repairTimes)
		}
	}
}
