package media

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"siaran/e2e/harness"
)

// TestDrain empties a server: it takes that back once, and is told to end the second time.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := serveAgain(t, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), "--drain=1m")
	b := p.Broadcast(t, harness.Cats, p.Admin, harness.TwoMinutes)
	first, second := p.Watch(t, harness.Cats), p.Watch(t, harness.Cats)
	first.WaitFrame(3)
	second.WaitFrame(3)
	call := func(method, body string) int { return p.Call(t, method, "/api/drain", p.Admin, body) }

	if status := call(http.MethodPost, `{"seconds":3600}`); status != http.StatusAccepted {
		t.Fatalf("POST: %d", status)
	}
	if status := p.Get(t, p.URL+"/readyz", "").StatusCode; status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", status)
	}
	if _, err := p.TryWatch(t, harness.Cats); !harness.Refused(err, http.StatusServiceUnavailable) {
		t.Errorf("a viewer gets %v", err)
	}
	if status := call(http.MethodDelete, ""); status != http.StatusOK {
		t.Fatalf("DELETE: %d", status)
	}
	p.Watch(t, harness.Cats).Leave()

	if status := call(http.MethodPost, `{"seconds":1}`); status != http.StatusAccepted {
		t.Fatalf("POST: %d", status)
	}
	<-first.Session.Lost()
	<-second.Session.Lost()
	<-b.Session.Lost() // the server ends, and broadcasters go last
	if err := p.Cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestDrainAtSIGTERM: nobody is there, so it takes no time, and what SIGTERM has begun is not taken back.
func TestDrainAtSIGTERM(t *testing.T) {
	t.Parallel()
	p := serveAgain(t, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), "--drain=1h")
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Wait(); err != nil {
		t.Error(err)
	}

	p = serveAgain(t, "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), "--drain=1h")
	p.Broadcast(t, harness.Cats, p.Admin, harness.TwoMinutes)
	p.Watch(t, harness.Cats).WaitFrame(3)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "it drains", func() bool {
		return strings.Contains(p.Get(t, p.URL+"/api/drain", p.Admin).Body, `"draining":true`)
	})
	if status := p.Call(t, http.MethodDelete, "/api/drain", p.Admin, ""); status != http.StatusConflict {
		t.Errorf("DELETE: %d", status)
	}
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Wait(); err == nil { // at once
		t.Error("the second signal has ended it in order")
	}
}
