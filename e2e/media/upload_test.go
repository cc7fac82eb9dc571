package media

import (
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/internal/whip"
	"siaran/web/access"
)

// TestLossyUploadIsRepaired: a broadcaster whose path loses 5 % each way, 60 ms away, is asked for what is lost, and
// told that much is.
func TestLossyUploadIsRepaired(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	path := harness.OpenPath(t, s, 30*time.Millisecond, 0.05)
	token := s.Token(t, "cats", access.Publish)
	const second = 25 // pictures; the path may lose the beginning, which nobody knows to ask for again
	b := s.Broadcast(t, harness.Cats, token, second, func(c *whip.Config) { c.Client = path.Client() })
	b.WaitSent(3)
	v := s.Watch(t, harness.Cats)
	v.WaitPicture(b.Sent() + 100) // what a busy machine sends too late again is missing
	var health struct {
		RoundTrip float64
		Layers    []struct {
			Kind                     string
			Packets, Lost, Recovered uint64
		}
		Warnings []struct{ Code string }
	}
	defer func() { t.Logf("%+v", health) }()
	harness.Eventually(t, "a warning of repairs", func() bool {
		s.Decode(t, "/api/streams/cats/health", &health)
		for _, w := range health.Warnings {
			if w.Code == "repairs" || w.Code == "loss" {
				return true
			}
		}
		return false
	})
	harness.Eventually(t, "of each layer something has come again, and it is known how far away that was", func() bool {
		s.Decode(t, "/api/streams/cats/health", &health)
		for _, l := range health.Layers {
			if l.Recovered == 0 {
				return false
			}
		}
		return health.RoundTrip != 0
	})
	if health.RoundTrip < 0.06 {
		t.Errorf("a round trip of %v s", health.RoundTrip)
	}
}
