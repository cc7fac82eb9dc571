package harness

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"

	"siaran/web/access"
)

// Process is a server in a process of its own.
type Process struct {
	Server
	Cmd *exec.Cmd
}

// StartProcess runs siaran serve with the demo until the test ends. Its data is in dir.
func StartProcess(t *testing.T, dir string) *Process {
	t.Helper()
	self := Command(t)
	return StartCommand(t, exec.Command(self, "serve", "--demo", "--listen=127.0.0.1:0", "--udp=127.0.0.1:0",
		"--node=test", "--data", dir))
}

// adminToken is one of the server on this data folder.
func adminToken(t testing.TB, dir string) string {
	t.Helper()
	secret, _, err := access.OpenSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := secret.Mint(access.Claims{Stream: access.AllStreams, Scopes: []access.Scope{access.Admin}})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// StartCommand runs a command that serves, and waits until the server is ready. The process ends with the test. Unless
// its arguments say otherwise, it takes viewers however busy the machine is, as tests make it, and gives them a minute
// to connect.
func StartCommand(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd}
	cmd.Env = append(cmd.Environ(), "SIARAN_MAX_LOAD=0", "SIARAN_SETUP_TIMEOUT=1m")
	said := &Buffer{}
	if cmd.Stderr == nil {
		cmd.Stderr = said
	}
	out, err := p.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Cmd.Process.Kill() // if it has not ended
		_ = p.Cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if link, found := strings.CutPrefix(strings.TrimSpace(lines.Text()), "Studio"); found {
			p.URL, _ = strings.CutSuffix(strings.TrimSpace(link), "/studio")
		}
		if strings.Contains(lines.Text(), "token=") {
			t.Error("a token is printed, and nobody knows who keeps it")
		}
		if dir, found := strings.CutPrefix(strings.TrimSpace(lines.Text()), "Data "); found {
			p.Admin = adminToken(t, strings.TrimSpace(dir))
			break
		}
	}
	if p.URL == "" || p.Admin == "" {
		_ = p.Cmd.Process.Kill()
		_ = p.Cmd.Wait() // what it has said is whole then
		t.Fatalf("it does not say where the studio and the data are:\n%s", said.String())
	}
	return p
}

// Kill ends a process as the kernel does when memory runs out.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	if err := p.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Cmd.Wait() // it says that it was killed
}
