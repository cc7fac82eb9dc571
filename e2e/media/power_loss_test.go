//go:build unix

package media

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// TestFilesOutlastPowerLoss: the names of the secret and of the certificate are written to disk, not only what is in
// them.
func TestFilesOutlastPowerLoss(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: no strace: 'apt-get install strace' on Debian")
	}
	self := harness.Command(t)
	parent := t.TempDir()
	dir, trace := filepath.Join(parent, "data"), filepath.Join(t.TempDir(), "trace")
	if out, err := exec.Command(strace, "-V").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: strace does not work here: %v: %s", err, out)
	}
	cmd := exec.Command(strace, "-f", "-y", "-e", "signal=none", "-e",
		"trace=fsync,fdatasync,?link,linkat,?rename,renameat,renameat2,?mkdir,mkdirat", "-o", trace,
		self, "serve", "--listen=127.0.0.1:0", "--udp=127.0.0.1:0", "--tcp=", "--turn=", "--node=test", "--data", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := harness.StartCommand(t, cmd)
	_ = syscall.Kill(-p.Cmd.Process.Pid,
		syscall.SIGTERM) // ends the server; strace ignores it, and ends when it has written all
	_ = p.Cmd.Wait()
	text := string(harness.ReadFile(t, filepath.Dir(trace), filepath.Base(trace)))
	for _, step := range []struct{ name, folder string }{
		{dir + `"`, parent}, {`secret.key"`, dir}, {server.CertificateFile + `"`, dir},
	} {
		_, after, found := strings.Cut(text, step.name)
		// A call that another thread interrupts is written as "fsync(7</folder> <unfinished ...>".
		synced := strings.Contains(after, "<"+step.folder+">)") || strings.Contains(after, "<"+step.folder+"> <unf")
		if !found || !synced {
			t.Errorf("%s is not synced after %s in\n%s", step.folder, step.name, text)
		}
	}
}
