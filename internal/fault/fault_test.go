package fault

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestRecover(t *testing.T) {
	var out bytes.Buffer
	l := New(slog.New(slog.NewTextHandler(&out, nil)))
	ended := 0
	fail := func(how any) {
		defer l.Recover("a test", func() { ended++ })
		if how != nil {
			panic(how)
		}
	}
	fail(nil)
	if l.Count() != 0 || ended != 0 || out.Len() != 0 {
		t.Errorf("%d counted, %d ended: %s", l.Count(), ended, &out)
	}
	for range 3 {
		fail("broken")
	}
	if l.Count() != 3 || ended != 3 || strings.Count(out.String(), "panic=broken") != 1 {
		t.Errorf("%d counted, %d ended: %s", l.Count(), ended, &out)
	}
	l.told = l.told.Add(-time.Minute)
	fail("again")
	if !strings.Contains(out.String(), `count=4`) {
		t.Errorf("a minute later: %s", &out)
	}
}
