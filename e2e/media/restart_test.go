package media

import (
	"testing"

	"siaran/e2e/harness"
)

// TestICERestart has a broadcaster and a viewer restart ICE while media flows: media goes on each time, in the
// sessions that they have.
func TestICERestart(t *testing.T) {
	s := harness.Start(t)
	b := harness.GoLive(t, s)
	beside, v := s.Watch(t, harness.Cats), s.Watch(t, harness.Cats)
	beside.WaitFrame(20)
	for range 3 {
		if err := b.Session.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		beside.WaitFrame(b.Sent() + 10)
	}
	v.WaitFrame(b.Sent())
	for range 3 {
		if err := v.Session.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		v.WaitFrame(b.Sent() + 10)
	}
	// pion drops its own path when it restarts, and how long it then takes depends on the machine.
	t.Logf("beside: %v; the longest time between two packets was %v", beside.CheckContinuous(), v.LongestGap())
}
