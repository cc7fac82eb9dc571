package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// lab is a small internet of network namespaces, wired as a test wants it. It needs root on Linux.
type lab struct {
	t  *testing.T
	id string // of its names, so that no two labs meet
}

func init() { os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") } // where the tools are

// newLab skips the test where there can be no lab. On CI root must have the tools.
func newLab(t *testing.T) *lab {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("SKIPPED, no lab: network namespaces are made on Linux, by root")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			const how = "'apt-get install iproute2 nftables' on Debian"
			if os.Getenv("CI") != "" {
				t.Fatalf("no %s: %s", tool, how)
			}
			t.Skipf("SKIPPED, no lab: no %s: %s", tool, how)
		}
	}
	id := make([]byte, 4)
	rand.Read(id)
	l := &lab{t: t, id: hex.EncodeToString(id)}
	if out, err := exec.Command("ip", "netns", "add", l.name("try")).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, no lab: this system allows no network namespaces (a container needs --privileged): %s", out)
	}
	l.run("ip", "netns", "del", l.name("try"))
	return l
}

func (l *lab) name(host string) string { return "siaran-" + l.id + "-" + host }

func (l *lab) run(name string, args ...string) {
	l.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// labHost is one machine of a lab.
type labHost struct {
	*lab
	ns string
}

// host makes a machine. It is taken away after the test, whatever becomes of that.
func (l *lab) host(name string) *labHost {
	l.t.Helper()
	h := &labHost{l, l.name(name)}
	l.run("ip", "netns", "add", h.ns)
	l.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", h.ns).CombinedOutput(); err != nil {
			l.t.Errorf("the namespace %s is left: %s", h.ns, out)
		}
	})
	h.ip("link set lo up")
	return h
}

// ip runs ip(8) on the machine.
func (h *labHost) ip(args string) {
	h.t.Helper()
	h.run("ip", append([]string{"-n", h.ns}, strings.Fields(args)...)...)
}

// wire connects an interface of one machine to one of another; both get addresses, with the length of their networks.
func (h *labHost) wire(name, addresses string, other *labHost, otherName, otherAddresses string) {
	h.t.Helper()
	h.ip("link add " + name + " type veth peer name " + otherName + " netns " + other.ns)
	for _, end := range []struct {
		host            *labHost
		name, addresses string
	}{{h, name, addresses}, {other, otherName, otherAddresses}} {
		for _, a := range strings.Fields(end.addresses) {
			if strings.Contains(a, ":") {
				a += " nodad" // usable at once
			}
			end.host.ip("addr add " + a + " dev " + end.name)
		}
		end.host.ip("link set " + end.name + " up")
	}
}

// firewall loads rules of nft(8) on the machine.
func (h *labHost) firewall(rules string) {
	h.t.Helper()
	cmd := h.command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("nft: %v: %s\n%s", err, out, rules)
	}
}

// routes makes the machine a router.
func (h *labHost) routes() {
	h.t.Helper()
	h.run("ip", "netns", "exec", h.ns, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
}

// command is a command that will run on the machine.
func (h *labHost) command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.ns, name}, args...)...)
}

// serve runs a server on the machine. Its log is shown when the test fails.
func (h *labHost) serve(args ...string) *process {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := h.command(self, append([]string{"serve", "--node=test", "--data", filepath.Join(h.t.TempDir(), "data")}, args...)...)
	log := &lockedBuffer{}
	cmd.Stderr = log
	h.t.Cleanup(func() {
		if h.t.Failed() {
			h.t.Logf("the server says:\n%s", log.String())
		}
	})
	return startCommand(h.t, cmd)
}

// What a process of TestInside is told.
const (
	insidePart  = "SIARAN_TEST_INSIDE"
	insideURL   = "SIARAN_TEST_INSIDE_URL"
	insideAdmin = "SIARAN_TEST_INSIDE_ADMIN"

	insideCert = "SSL_CERT_FILE" // which Go itself reads, for HTTPS and for the relay over TLS

	insideReady = "ready" // a line that a part may print
)

func (h *labHost) part(name string, s *testServer) *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := h.command(self, "-test.run=^TestInside$", "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), insidePart+"="+name, insideURL+"="+s.URL, insideAdmin+"="+s.Admin)
	return cmd
}

// start runs one of the parts of TestInside on the machine until the test ends, and waits until it is ready.
func (h *labHost) start(part string) {
	h.t.Helper()
	cmd := h.part(part, &testServer{})
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it ends in no other way
		_ = cmd.Wait()
	})
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); said = append(said, lines.Text()) {
		if lines.Text() == insideReady {
			return
		}
	}
	h.t.Fatalf("%s: %s", part, strings.Join(said, "\n"))
}

// inside runs one of the parts of TestInside on the machine, as a client of a server. More may be told by the environment.
func (h *labHost) inside(part string, s *process, environment ...string) {
	h.t.Helper()
	cmd := h.part(part, &s.testServer)
	cmd.Env = append(cmd.Env, environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Errorf("%s: %v\n%s", part, err, out)
	} else if !strings.Contains(string(out), "--- PASS: TestInside") {
		h.t.Errorf("%s did not run:\n%s", part, out)
	}
}

// TestInside is not a test by itself: tests with a lab run it in processes on the machines of that.
func TestInside(t *testing.T) {
	name := os.Getenv(insidePart)
	if name == "" {
		t.Skip("a part of TestNetworks")
	}
	part, ok := insideParts[name]
	if !ok {
		t.Fatalf("no part %q", name)
	}
	part(t, &testServer{URL: os.Getenv(insideURL), Admin: os.Getenv(insideAdmin)})
}
