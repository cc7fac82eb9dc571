package media

import (
	"testing"

	"siaran/e2e/harness"
	"siaran/internal/whep"
)

// TestICERestart has a broadcaster and a viewer restart ICE while media flows: media goes on each time, in the
// sessions that they have. pion drops its own path when it restarts, and how much is lost then depends on the machine,
// so that key frames come often.
func TestICERestart(t *testing.T) {
	s := harness.Start(t)
	b := s.Broadcast(t, harness.Cats, s.Admin, 25)
	var seen, beside harness.Pictures
	v := s.Watch(t, harness.Cats, func(c *whep.Config) { c.Packet = seen.Packet })
	s.Watch(t, harness.Cats, func(c *whep.Config) { c.Packet = beside.Packet })
	goesOn := func(p *harness.Pictures) {
		t.Helper()
		p.Forget()
		harness.Eventually(t, "pictures come", func() bool {
			_, frames, _ := p.Get()
			return frames > 30
		})
	}
	goesOn(&beside)
	for range 3 {
		if err := b.Session.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		goesOn(&beside)
	}
	for range 3 {
		if err := v.Session.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		goesOn(&seen)
	}
	harness.Eventually(t, "both are listed", func() bool { return len(s.Viewers(t, harness.Cats)) == 2 })
}
