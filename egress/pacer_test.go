package egress

import (
	"testing"
	"time"
)

func TestPacerKeepsItsRate(t *testing.T) {
	const burst = 20_000
	now := time.Unix(100, 0)
	var p pacer
	p.refill(now, 1_000_000, burst)
	sent := 0
	for range 250 { // one second
		p.refill(now, 1_000_000, burst)
		for ; p.ready(); sent += 1000 {
			p.charge(1000)
		}
		now = now.Add(paceTick)
	}
	if sent < 990_000 || sent > 1_000_000+2*burst {
		t.Errorf("sent %d bytes in a second, want about 1000000", sent)
	}
	for _, c := range []struct{ limit, want int }{{burst, burst}, {5000, 5000}} {
		now = now.Add(time.Hour)
		p.refill(now, 1_000_000, burst)
		p.limit(c.limit)
		sent = 0
		for ; p.ready(); sent += 1000 {
			p.charge(1000)
		}
		if sent != c.want {
			t.Errorf("a burst of %d bytes after a pause, want %d", sent, c.want)
		}
	}
}
