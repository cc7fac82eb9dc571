package emulator

import (
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func answers(host string) bool {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + host)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return true
}

// becomes waits until the emulator answers, or does not: on a busy machine a signal takes a while to have its effect.
func becomes(host string, answering bool) bool {
	for deadline := time.Now().Add(30 * time.Second); answers(host) != answering; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func TestEmulator(t *testing.T) {
	e := New(t)
	host := e.Host
	if !becomes(host, true) {
		t.Fatal("it does not answer")
	}
	e.Pause()
	if !becomes(host, false) {
		t.Error("it answers while paused")
	}
	e.Resume()
	if !becomes(host, true) {
		t.Error("it does not answer after a pause")
	}
	e.Stop()
	if answers(host) {
		t.Error("it answers though it was stopped")
	}
	e.Restart()
	if e.Host != host || !becomes(host, true) {
		t.Errorf("after a restart it does not answer at %s", host)
	}
	if a, b := Start(t), Start(t); a != b || !becomes(a, true) {
		t.Error("the shared emulator does not answer, or is not shared")
	}
	if a, b := Project(), Project(); a == b {
		t.Error("two tests get the same project")
	}
}
