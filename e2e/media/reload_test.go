package media

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"siaran/e2e/harness"
	"siaran/web/access"
)

// logLines collects what a process logs.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// says returns how many lines have all of these parts.
func (l *logLines) says(parts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := bufio.NewScanner(bytes.NewReader(l.text.Bytes()))
	for lines.Scan() {
		found := true
		for _, part := range parts {
			found = found && strings.Contains(lines.Text(), part)
		}
		if found {
			n++
		}
	}
	return n
}

// TestReload changes the configuration file of a server on which somebody broadcasts and somebody watches.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, secret, data := filepath.Join(dir, "siaran.yaml"), filepath.Join(dir, "shared.key"), filepath.Join(dir, "data")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := func(b byte) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) + "\n"
	}
	settings := "listen: 127.0.0.1:0\nudp: 127.0.0.1:0\ntcp: ''\nturn: ''\nnode: test\ndata: " + data +
		"\nsecret-file: " + secret + "\n"
	write(secret, key(1))
	write(file, settings)
	logs := &logLines{}
	cmd := exec.Command(harness.Command(t), "serve", "--config", file)
	cmd.Stderr = logs
	p := harness.StartCommand(t, cmd)
	mint := func() string {
		t.Helper()
		s, err := access.OpenShared(data, []string{secret})
		if err != nil {
			t.Fatal(err)
		}
		token, err := s.Mint(access.Claims{Stream: access.AllStreams, Scopes: []access.Scope{access.Admin}})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	p.Admin = mint()
	b := p.Broadcast(t, harness.Cats, p.Admin, harness.TwoMinutes)
	v := p.Watch(t, harness.Cats)
	hangUp := func(parts ...string) {
		t.Helper()
		before := logs.says(parts...)
		if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, "the log says "+strings.Join(parts, " "), func() bool {
			return logs.says(parts...) > before
		})
	}

	write(file, settings+"max-viewers: 1\nallow-origin: https://a.example\nburst: 5000\n")
	hangUp("needs a restart", "setting=burst")
	for _, name := range []string{"max-viewers", "allow-origin"} {
		if logs.says("setting applied", "setting="+name) == 0 {
			t.Errorf("nothing is said about %s", name)
		}
	}
	if _, err := p.TryWatch(t, harness.Cats); !harness.Refused(err, http.StatusServiceUnavailable) &&
		!harness.Refused(err, http.StatusTooManyRequests) {
		t.Errorf("one more viewer: %v", err)
	}
	res := p.Request(t, http.MethodGet, p.URL+"/healthz", "", "", "")
	if allowed := res.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
		t.Errorf("allowed is %s", allowed)
	}

	for _, bad := range []string{"max-viewers: none\n", "max-viewers: 0\n", "viewers: 3\n", ": ["} {
		write(file, settings+bad)
		hangUp("stay as they are")
	}
	if _, err := p.TryWatch(t, harness.Cats); err == nil {
		t.Error("what is malformed has changed the limit")
	}

	old := p.Admin
	write(file, settings+"max-viewers: 10\n")
	write(secret, key(2))
	hangUp("a new secret is in use")
	if status := p.Get(t, p.URL+"/api/tokens/self", old).StatusCode; status != http.StatusUnauthorized {
		t.Errorf("the old secret's token gets %d", status)
	}
	p.Admin = mint()
	if status := p.Get(t, p.URL+"/api/tokens/self", p.Admin).StatusCode; status != http.StatusOK {
		t.Errorf("the new secret's token gets %d", status)
	}
	p.Watch(t, harness.Cats)
	v.WaitFrame(b.Sent() + 5) // nobody has been sent away
	if err := v.CheckContinuous(); err != nil {
		t.Error(err)
	}
}
