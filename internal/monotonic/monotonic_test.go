package monotonic

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestNanos(t *testing.T) {
	now := time.Now()
	if d := Nanos(now.Add(time.Hour)) - Nanos(now); d != int64(time.Hour) {
		t.Errorf("an hour later is %d ns later", d)
	}
	if d := Nanos(now) - now.UnixNano(); time.Duration(d).Abs() > time.Minute {
		t.Errorf("%d ns off the time of day", d)
	}
	if read := now.Round(0); Nanos(read) != read.UnixNano() {
		t.Errorf("%v is %d", read, Nanos(read))
	}
	synctest.Test(t, func(t *testing.T) {
		if now := time.Now(); Nanos(now) != now.UnixNano() {
			t.Errorf("%v is %d", now, Nanos(now))
		}
	})
}
