package netlab

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func init() { os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") } // where the tools are

// Lab is a small internet of network namespaces, wired as a test wants it. It needs root on Linux.
type Lab struct {
	T  *testing.T
	id string // of its names, so that no two labs meet
}

// New skips the test where there can be no lab. On CI root must have the tools.
func New(t *testing.T) *Lab {
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
	l := &Lab{T: t, id: hex.EncodeToString(id)}
	if out, err := exec.Command("ip", "netns", "add", l.name("try")).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, no lab: this system allows no network namespaces (a container needs --privileged): %s", out)
	}
	l.run("ip", "netns", "del", l.name("try"))
	return l
}

func (l *Lab) name(host string) string { return "siaran-" + l.id + "-" + host }

func (l *Lab) run(name string, args ...string) {
	l.T.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.T.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
