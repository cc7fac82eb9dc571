package media

import (
	"net/http"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// TestServerThatSendsAsMuchAsItMay has a bound that one viewer reaches: the next one has to wait until the first has
// left, which sees nothing of that.
func TestServerThatSendsAsMuchAsItMay(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.MaxEgress = 30_000 })
	b := harness.GoLive(t, s)
	first := s.Watch(t, harness.Cats)
	first.WaitFrame(10)
	var err error
	harness.Eventually(t, "the server is closed", func() bool {
		var v *harness.Viewer
		if v, err = s.TryWatch(t, harness.Cats); err == nil {
			v.Leave()
		}
		return err != nil
	})
	if !harness.Refused(err, http.StatusServiceUnavailable) {
		t.Errorf("%v", err)
	}
	first.WaitFrame(b.Sent() + 25)
	first.Leave()
	harness.Eventually(t, "it is open again", func() bool {
		v, err := s.TryWatch(t, harness.Cats)
		if err == nil {
			v.WaitFrame(b.Sent())
		}
		return err == nil
	})
}
