package netlab

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"siaran/e2e/harness"
)

// What a client's process is told by its environment.
const (
	clientVariable = "SIARAN_TEST_CLIENT"
	urlVariable    = "SIARAN_TEST_CLIENT_URL"
	adminVariable  = "SIARAN_TEST_CLIENT_ADMIN"

	// CertFileVariable names the certificates that Go trusts, for HTTPS and for the relay over TLS.
	CertFileVariable = "SSL_CERT_FILE"

	ready = "client is ready" // a line of its output
)

// Client is what a process on a host does: a test of a server that runs on another host.
type Client func(t *testing.T, s *harness.Server)

// Main runs the tests of a package, or, in a process that RunClient or StartClient has started, one of its clients.
// It returns the exit code.
func Main(m *testing.M, clients map[string]Client) int {
	name := os.Getenv(clientVariable)
	if name == "" {
		return harness.Main(m)
	}
	client, ok := clients[name]
	if !ok {
		fmt.Printf("no client %q\n", name)
		return 2
	}
	s := &harness.Server{URL: os.Getenv(urlVariable), Admin: os.Getenv(adminVariable)}
	run := func(t *testing.T) { client(t, s) }
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: name, F: run}}, nil, nil) // does not return
	return 0
}

// ReportReady lets the StartClient that has started this process return.
func ReportReady() { fmt.Println(ready) }

// client is a command that runs a client on the host.
func (h *Host) client(name string, s *harness.Server) *exec.Cmd {
	h.T.Helper()
	self, err := os.Executable()
	if err != nil {
		h.T.Fatal(err)
	}
	cmd := h.Command(self, "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), clientVariable+"="+name, urlVariable+"="+s.URL, adminVariable+"="+s.Admin)
	return cmd
}

// StartClient runs a client until the test ends, and waits until it calls ReportReady.
func (h *Host) StartClient(name string) {
	h.T.Helper()
	cmd := h.client(name, &harness.Server{})
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.T.Fatal(err)
	}
	h.T.Cleanup(func() {
		_ = cmd.Process.Kill() // it ends in no other way
		_ = cmd.Wait()
	})
	var output []string
	for lines := bufio.NewScanner(out); lines.Scan(); output = append(output, lines.Text()) {
		if lines.Text() == ready {
			return
		}
	}
	h.T.Fatalf("%s: %s", name, strings.Join(output, "\n"))
}

// RunClient runs a client to its end against a server. The environment can be extended by NAME=VALUE.
func (h *Host) RunClient(name string, s *harness.Process, environment ...string) {
	h.T.Helper()
	cmd := h.client(name, &s.Server)
	cmd.Env = append(cmd.Env, environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.T.Errorf("%s: %v\n%s", name, err, out)
	} else if !strings.Contains(string(out), "--- PASS: ") {
		h.T.Errorf("%s did not run:\n%s", name, out)
	}
}
