package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asCommand in the environment makes this test binary the command itself.
const asCommand = "SIARAN_TEST_AS_COMMAND"

// process is a server in a process of its own.
type process struct {
	testServer
	cmd *exec.Cmd
}

func startProcess(t *testing.T, dir string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startCommand(t, exec.Command(self, "serve", "--demo", "--listen=127.0.0.1:0", "--udp=127.0.0.1:0", "--node=test", "--data", dir))
}

// startCommand starts a server by a command that runs this test binary.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd}
	p.cmd.Env = append(os.Environ(), asCommand+"=1")
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // if it has not ended
		_ = p.cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if link, found := strings.CutPrefix(strings.TrimSpace(lines.Text()), "Studio"); found {
			p.URL, p.Admin, _ = strings.Cut(strings.TrimSpace(link), "/studio#token=")
		}
		if strings.Contains(lines.Text(), "Data ") {
			break
		}
	}
	if p.URL == "" || p.Admin == "" {
		t.Fatal("it does not say where the studio is")
	}
	return p
}

func TestProcessEndsWithSignal(t *testing.T) {
	p := startProcess(t, filepath.Join(t.TempDir(), "data"))
	eventually(t, "the demo is live", func() bool { return p.stream(t, demoStream).Status == "live" })
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// TestProcessIsKilled: the next server on the same data sweeps what is left.
func TestProcessIsKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startProcess(t, dir)
	eventually(t, "the demo is live", func() bool { return p.stream(t, demoStream).Status == "live" })
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it says that it was killed

	s := startServer(t, func(c *Config) { c.Data = dir })
	eventually(t, "offline", func() bool { return s.stream(t, demoStream).Status == "offline" })
	var broadcasts struct{ Streams []streamJSON }
	s.decode(t, "/api/streams", &broadcasts)
	if len(broadcasts.Streams) != 0 {
		t.Errorf("still listed: %+v", broadcasts)
	}
}

func hangUpSelf(t *testing.T) {
	t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
