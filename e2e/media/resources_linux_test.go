package media

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/whep"
)

// watcher counts what a viewer of the demo gets.
type watcher struct{ packets atomic.Int64 }

func watchDemo(t *testing.T, p *harness.Process) *watcher {
	t.Helper()
	w := &watcher{}
	p.Watch(t, server.DemoStream, func(c *whep.Config) {
		c.Packet = func(webrtc.RTPCodecType, *rtp.Packet) { w.packets.Add(1) }
	})
	w.goesOn(t)
	return w
}

// goesOn waits until some more has come.
func (w *watcher) goesOn(t *testing.T) {
	t.Helper()
	n := w.packets.Load()
	harness.Eventually(t, "media goes on", func() bool { return w.packets.Load() > n+100 })
}

func startFaulty(t *testing.T, dir string, command ...string) (*harness.Process, *harness.Buffer) {
	t.Helper()
	self := harness.Command(t)
	args := append(command, self, "serve", "--demo", "--listen=127.0.0.1:0", "--udp=127.0.0.1:0", "--tcp=", "--turn=",
		"--node=test", "--data", dir)
	cmd := exec.Command(args[0], args[1:]...)
	log := &harness.Buffer{}
	cmd.Stderr = log
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server says:\n%s", log.String())
		}
	})
	p := harness.StartCommand(t, cmd)
	harness.Eventually(t, "the demo is live", func() bool { return p.Stream(t, server.DemoStream).Status == "live" })
	return p, log
}

// TestDescriptorsUsedUp: when connections have taken all that the system gives, those who watch go on, and the server
// says what is wrong; once some are closed, others get in again.
func TestDescriptorsUsedUp(t *testing.T) {
	t.Parallel()
	const limit = 256
	p, log := startFaulty(t, filepath.Join(t.TempDir(), "data"), "sh", "-c",
		fmt.Sprintf(`ulimit -n %d && exec "$@"`, limit), "sh")
	watching := watchDemo(t, p)
	host := strings.TrimPrefix(p.URL, "http://")
	var open []net.Conn
	closeAll := func() {
		for _, c := range open {
			c.Close()
		}
		open = nil
	}
	defer closeAll()
	harness.Eventually(t, "all descriptors are used, and it is said", func() bool {
		if len(open) < 2*limit {
			// From an address and a network of its own each, so that limits by source do not keep them out.
			from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(len(open)%250), byte(1+len(open)/250))}
			c, err := (&net.Dialer{LocalAddr: from, Timeout: 20 * time.Second}).Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
			// One whole request, so that it is no stranger any more.
			if _, err := fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
				t.Fatal(err)
			}
		}
		return strings.Contains(log.String(), "too many open files")
	})
	watching.goesOn(t)
	if !strings.Contains(log.String(), "ulimit -n") {
		t.Error("the log does not say what to do")
	}
	closeAll()
	http.DefaultClient.CloseIdleConnections()
	harness.Eventually(t, "connections are taken again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	watchDemo(t, p)
	watching.goesOn(t)
	if n := strings.Count(log.String(), "\n"); n > 1000 { // without a limit it is hundreds a second
		t.Errorf("%d lines of log", n)
	}
}

// TestMemoryIsShort: with a limit far below what the server needs, it collects garbage all the time, and media goes on.
func TestMemoryIsShort(t *testing.T) {
	t.Parallel()
	p, _ := startFaulty(t, filepath.Join(t.TempDir(), "data"), "env", "GOMEMLIMIT=8MiB")
	var all []*watcher
	for range 5 {
		all = append(all, watchDemo(t, p))
	}
	for _, w := range all {
		w.goesOn(t)
	}
}

// smallDisk is a file system of a few megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("siaran-test", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("SKIPPED: no small file system: %v; it needs root (a container: --privileged)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill uses the room that is left, and returns how to give it back.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// TestDiskIsFull while a stream is live: media goes on and new viewers get in; the log says what is wrong; the listing
// is right again when there is room.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	p, log := startFaulty(t, filepath.Join(disk, "data"))
	watching := watchDemo(t, p)
	empty := fill(t, disk)
	harness.Eventually(t, "it is said", func() bool {
		return strings.Contains(log.String(), "the disk is full; make room")
	})
	watching.goesOn(t)
	late := watchDemo(t, p)
	empty()
	harness.Eventually(t, "the listing is back", func() bool {
		return strings.Contains(log.String(), "the listing is back")
	})
	harness.Eventually(t, "both are listed", func() bool {
		s := p.Stream(t, server.DemoStream)
		return s.Status == "live" && s.Viewers == 2
	})
	watching.goesOn(t)
	late.goesOn(t)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// TestDiskTurnsReadOnly while a stream is live, as Linux makes a disk that fails: media goes on and new viewers get in;
// the log says what is wrong; the server ends when it is told to, and starts again once the disk is repaired.
func TestDiskTurnsReadOnly(t *testing.T) {
	t.Parallel()
	disk, fail, repair := failingDisk(t)
	data := filepath.Join(disk, "data")
	p, log := startFaulty(t, data)
	watching := watchDemo(t, p)
	fail()
	late := watchDemo(t, p)
	harness.Eventually(t, "it is said", func() bool {
		return strings.Contains(log.String(), "the disk fails; check the system's log")
	})
	watching.goesOn(t)
	late.goesOn(t)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = p.Cmd.Wait() // with an error: the listing could not be written
	repair()
	p, _ = startFaulty(t, data)
	watchDemo(t, p)
}

// failingDisk is a file system which turns read-only when fail is called. repair makes it writable again, when no file
// is open.
func failingDisk(t *testing.T) (dir string, fail, repair func()) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	run := func(name string, arg ...string) (string, error) {
		out, err := exec.Command(name, arg...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return strings.TrimSpace(string(out)), nil
	}
	dir = t.TempDir()
	mount := func() error {
		_, err := run("mount", "-o", "loop,errors=remount-ro", image, dir)
		return err
	}
	_, err := run("mkfs.ext4", "-q", "-F", image)
	if err = errors.Join(err, mount()); err != nil {
		t.Skipf("SKIPPED: no file system that can be made to fail: %v; it needs root (a container: --privileged)", err)
	}
	unmount := func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(unmount)
	fail = func() {
		device, err := run("findmnt", "-no", "SOURCE", dir)
		if err != nil {
			t.Fatal(err)
		}
		trigger := filepath.Join("/sys/fs/ext4", filepath.Base(device), "trigger_fs_error")
		if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	repair = func() {
		unmount()
		// A copy, for the disk itself may live on in the mounts of a process with a namespace of its own.
		failed := image
		image += "-copy"
		if _, err := run("cp", "--sparse=always", failed, image); err != nil {
			t.Fatal(err)
		}
		if _, err := run("e2fsck", "-p", image); err != nil {
			t.Log(err) // it says by its exit code that it has repaired something
		}
		if err := mount(); err != nil {
			t.Fatal(err)
		}
	}
	return dir, fail, repair
}

// TestDiskIsFullAtTheStart: the server does not start without its secret, certificate and listing, leaves no half of
// them, says why, and starts once there is room.
func TestDiskIsFullAtTheStart(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	self := harness.Command(t)
	data := filepath.Join(disk, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	refuses := func() string {
		t.Helper()
		cmd := exec.Command(self, "serve", "--listen=127.0.0.1:0", "--udp=127.0.0.1:0", "--tcp=", "--turn=", "--data", data)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no space left") &&
			!strings.Contains(string(out), "the disk is full") {
			t.Errorf("%v: %s", err, out)
		}
		if strings.Contains(string(out), "goroutine ") {
			t.Errorf("it panics: %s", out)
		}
		return string(out)
	}
	empty := fill(t, disk)
	refuses()
	if _, err := os.Stat(filepath.Join(data, "secret.key")); err == nil {
		t.Error("there is a secret")
	}
	empty()

	p, _ := startFaulty(t, data)
	_ = p.Cmd.Process.Kill()
	_ = p.Cmd.Wait()
	for _, name := range []string{server.CertificateFile, "secret.key"} {
		kept := harness.ReadFile(t, data, name)
		if err := os.Remove(filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
		empty := fill(t, disk)
		t.Log(refuses())
		if _, err := os.Stat(filepath.Join(data, name)); err == nil {
			t.Errorf("there is a %s", name)
		}
		empty()
		if err := os.WriteFile(filepath.Join(data, name), kept, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(data, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	startFaulty(t, data)
}
