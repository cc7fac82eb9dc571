package browser

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/internal/testutil"
)

// noteStates keeps the states that a player goes through.
const noteStates = `(() => {
	window.states = [];
	` + chromium.Player + `.addEventListener("state", () => states.push(` + chromium.Player + `.state));
	return true;
})()`

// TestPagesOutlastRestarts: a server is ended, and killed, while a page plays and a studio broadcasts. After the next
// start both go on by themselves, and the viewer is never told that it is over.
func TestPagesOutlastRestarts(t *testing.T) {
	t.Parallel()
	address := testutil.FreeAddress(t)
	dir := filepath.Join(t.TempDir(), "data")
	serve := func() *harness.Process {
		return harness.StartCommand(t, exec.Command(harness.Command(t), "serve", "--listen="+address,
			"--udp=127.0.0.1:0", "--tcp=", "--turn=", "--node=test", "--data", dir, "--grace=10m",
			"--dev")) // emulators of other tests may be in the environment
	}
	p := serve()
	b := chromium.Start(t)
	studio := b.GoLive(&p.Server, "kopi", "Kopi sore")
	viewer := b.Open(p.URL + "/watch/kopi")
	viewer.WaitMedia()
	chromium.Eval[bool](viewer, noteStates)
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.Cmd.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		_ = p.Cmd.Wait() // it says so if it was killed
		viewer.Wait("the page notices", chromium.Player+`.state !== "live"`)
		p = serve()
		viewer.WaitState("live")
		viewer.WaitMedia()
		studio.WaitState("live")
	}
	states := chromium.Eval[[]string](viewer, "states")
	t.Logf("the page went through %v", states)
	// An error is right when the server is away for more than ten seconds, as on a slow machine.
	if all := strings.Join(states, " "); strings.Contains(all, "ended") {
		t.Errorf("viewers are told %s", all)
	}
}
