package media

import (
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// TestDemo is what serve --demo does, with a viewer.
func TestDemo(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.Demo = true })
	harness.Eventually(t, "the demo is live", func() bool { return s.Stream(t, server.DemoStream).Status == "live" })
	if title := s.Stream(t, server.DemoStream).Title; title != server.DemoTitle {
		t.Errorf("its title is %q", title)
	}
	v := s.Watch(t, server.DemoStream)
	harness.Eventually(t, "the demo arrives", func() bool {
		return len(v.VideoFrames()) > 20 && len(v.AudioFrames()) > 20
	})
	if !v.VideoFrames()[0].Key {
		t.Error("it does not start with a key frame")
	}
	v.Leave()
}
