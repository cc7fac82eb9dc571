package media

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

func TestProcessEndsWithSignal(t *testing.T) {
	t.Parallel()
	p := harness.StartProcess(t, filepath.Join(t.TempDir(), "data"))
	harness.Eventually(t, "the demo is live", func() bool { return p.Stream(t, server.DemoStream).Status == "live" })
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// TestProcessIsKilled: the next server on the same data sweeps what is left, once nobody has come back for it.
func TestProcessIsKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	harness.Eventually(t, "the demo is live", func() bool { return p.Stream(t, server.DemoStream).Status == "live" })
	if err := p.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Cmd.Wait() // it says that it was killed

	s := harness.Start(t, func(c *server.Config) { c.Data, c.Grace = dir, time.Second })
	harness.Eventually(t, "offline", func() bool { return s.Stream(t, server.DemoStream).Status == "offline" })
	harness.Eventually(t, "nothing is listed", func() bool { return len(s.Listed(t)) == 0 })
}
