package listing

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
)

// TestKilled kills a server that is writing, and starts it again on the same file.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "listing.db")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimFile+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := 0
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if said, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("the server said %q", lines.Text())
		}
		if n == 30 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Wait() // it was killed
	if said == 0 {
		t.Fatal("the server did not begin")
	}

	l := open(t, path)
	s, err := l.Stream(t.Context(), "cats")
	if err != nil {
		t.Fatal(err)
	}
	if title, err := strconv.Atoi(s.Title); err != nil || title < said || s.KeyGeneration != 1 {
		t.Errorf("after the kill: %+v, want at least the title %d", s, said)
	}
	if n := count(t, path, "viewers"); n == 0 {
		t.Error("nothing was left behind")
	}
	again := start(t, l, self)
	for deadline := time.Now().Add(testutil.Patience); count(t, path, "viewers") > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	again.stop(t)
	h, err := l.Broadcasts(t.Context(), "cats", 10)
	if err != nil || len(h) != 1 || h[0].EndReason != siaran.EndCrashed {
		t.Errorf("history %+v, %v, want one that crashed", h, err)
	}
	if n := count(t, path, "viewers"); n != 0 {
		t.Errorf("%d viewers are left", n)
	}
}
