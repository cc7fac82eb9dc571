package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"siaran"
)

func sessions(kind string, n int) (list []siaran.SessionID) {
	for i := range n {
		list = append(list, siaran.SessionID(fmt.Sprint(kind, i)))
	}
	return list
}

// TestDepartures: whatever chance says, children go before viewers, all of them once, in time, and not together.
func TestDepartures(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, within := range []time.Duration{0, time.Second, time.Minute, time.Hour} {
		list := Departures(sessions("c", 20), sessions("v", 1000), within, random.Float64)
		if len(list) != 1020 {
			t.Fatalf("%d departures", len(list))
		}
		seen := make(map[siaran.SessionID]bool)
		tenths := make([]int, 10)
		var before time.Duration
		for i, d := range list {
			if isChild := d.Session[0] == 'c'; isChild != (i < 20) || seen[d.Session] {
				t.Fatalf("within %v, %s is number %d", within, d.Session, i)
			}
			if seen[d.Session] = true; d.After < before || d.After > within {
				t.Fatalf("within %v, %s goes after %v", within, d.Session, d.After)
			}
			if before = d.After; within > 0 {
				tenths[min(10*d.After/within, 9)]++
			}
		}
		for i, n := range tenths[1:9] {
			if within > 0 && (n < 60 || n > 170) {
				t.Errorf("within %v, %d go in tenth %d", within, n, i+2)
			}
		}
	}
	if list := Departures(nil, nil, time.Minute, random.Float64); len(list) != 0 {
		t.Errorf("of nobody %v", list)
	}
}
