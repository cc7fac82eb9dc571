package netlab

import (
	"os/exec"
	"path/filepath"
	"strings"

	"siaran/e2e/harness"
)

// Host is one machine of a lab.
type Host struct {
	*Lab
	ns string
}

// Host makes a machine. It is taken away after the test, whatever becomes of that. Its addresses are usable at once:
// one that is first looked for in the network comes a second later, and Chromium drops all requests that are under way
// when an address comes.
func (l *Lab) Host(name string) *Host {
	l.T.Helper()
	h := &Host{l, l.name(name)}
	l.run("ip", "netns", "add", h.ns)
	l.T.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", h.ns).CombinedOutput(); err != nil {
			l.T.Errorf("the namespace %s is left: %s", h.ns, out)
		}
	})
	h.IP("link set lo up")
	h.shell("for c in all default; do echo 0 > /proc/sys/net/ipv6/conf/$c/accept_dad; done")
	return h
}

// IP runs ip(8) on the machine.
func (h *Host) IP(args string) {
	h.T.Helper()
	h.run("ip", append([]string{"-n", h.ns}, strings.Fields(args)...)...)
}

// Connect connects an interface of one machine to one of another; both get addresses, with the length of their
// networks. It returns when nothing will change any more by itself.
func (h *Host) Connect(name, addresses string, other *Host, otherName, otherAddresses string) {
	h.T.Helper()
	h.IP("link add " + name + " type veth peer name " + otherName + " netns " + other.ns)
	for _, end := range []struct {
		host            *Host
		name, addresses string
	}{{h, name, addresses}, {other, otherName, otherAddresses}} {
		for _, a := range strings.Fields(end.addresses) {
			end.host.IP("addr add " + a + " dev " + end.name)
		}
		end.host.IP("link set " + end.name + " up")
	}
	h.waitUp(name)
	other.waitUp(otherName)
}

// waitUp waits for an interface's link-local address, the last thing that comes when a link is up.
func (h *Host) waitUp(name string) {
	h.T.Helper()
	harness.Eventually(h.T, "a link-local address of "+name, func() bool {
		show := exec.Command("ip", "-n", h.ns, "-o", "address", "show", "dev", name, "scope", "link")
		out, err := show.CombinedOutput()
		if err != nil {
			h.T.Fatalf("%s: %v", out, err)
		}
		return strings.Contains(string(out), "fe80:") && !strings.Contains(string(out), "tentative")
	})
}

// Firewall loads rules of nft(8) on the machine.
func (h *Host) Firewall(rules string) {
	h.T.Helper()
	cmd := h.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.T.Fatalf("nft: %v: %s\n%s", err, out, rules)
	}
}

// EnableForwarding makes the machine a router.
func (h *Host) EnableForwarding() {
	h.T.Helper()
	h.shell("echo 1 > /proc/sys/net/ipv4/ip_forward")
}

func (h *Host) shell(command string) {
	h.T.Helper()
	h.run("ip", "netns", "exec", h.ns, "sh", "-c", command)
}

// Command is a command that will run on the machine.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.ns, name}, args...)...)
}

// Serve runs a server on the machine. Its log is shown when the test fails.
func (h *Host) Serve(args ...string) *harness.Process {
	h.T.Helper()
	self := harness.Command(h.T)
	cmd := h.Command(self, append([]string{"serve", "--node=test", "--data", filepath.Join(h.T.TempDir(), "data")},
		args...)...)
	log := &harness.Buffer{}
	cmd.Stderr = log
	h.T.Cleanup(func() {
		if h.T.Failed() {
			h.T.Logf("the server says:\n%s", log.String())
		}
	})
	return harness.StartCommand(h.T, cmd)
}
