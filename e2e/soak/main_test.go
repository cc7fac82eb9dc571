package soak

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// serverVariable makes this program a server whose data is in the folder that it names.
const serverVariable = "SIARAN_SOAK_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serverVariable); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(harness.Main(m))
}

// held is what a server's process holds when it has collected its garbage.
type held struct {
	Goroutines, Descriptors int
	Heap, RSS               int // bytes
}

func (h held) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, heap %.2f MB, RSS %.2f MB",
		h.Goroutines, h.Descriptors, float64(h.Heap)/1e6, float64(h.RSS)/1e6)
}

// serve runs a server until stdin ends. For each line there it tells what it holds; a line may say by how many seconds
// its clock is ahead from then on.
func serve(dir string) error {
	cfg := harness.Config(dir)
	cfg.LogFormat, cfg.KeepViewers = "json", 10*time.Second
	cfg, err := cfg.Checked()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := json.NewEncoder(os.Stdout)
	if canSetClock { // before there are others who ask for the time
		if err := setClock(0); err != nil {
			return err
		}
	}
	go func() {
		defer cancel()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if seconds, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil && setClock(seconds) != nil {
				return
			}
			if err := out.Encode(look()); err != nil {
				return
			}
		}
	}()
	logger, level := cfg.NewLogger(os.Stderr)
	return server.Run(ctx, cfg, logger, func(b server.Banner) {
		_ = out.Encode(map[string]string{"url": b.URL, "admin": b.Admin}) // its reader waits for it
	}, server.Reload{Level: level})
}

func look() (h held) {
	for range 2 { // finalizers run after the first
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.Heap, h.Goroutines = int(m.HeapAlloc), runtime.NumGoroutine()
	h.Descriptors = descriptors()
	if text, err := os.ReadFile("/proc/self/status"); err == nil {
		_, after, _ := bytes.Cut(text, []byte("VmRSS:"))
		if fields := strings.Fields(string(after)); len(fields) > 0 {
			h.RSS, _ = strconv.Atoi(fields[0])
			h.RSS *= 1024
		}
	}
	return h
}

// descriptors leaves out those of the database: its pool opens a few more when two calls meet, and keeps them.
func descriptors() (n int) {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	for _, f := range files {
		target, err := os.Readlink("/proc/self/fd/" + f.Name())
		if err == nil && !strings.Contains(target, server.ListingFile) { // the folder's own is closed by now
			n++
		}
	}
	return n
}

// subject is the server under test.
type subject struct {
	harness.Server
	log harness.Buffer
	in  io.Writer
	out *json.Decoder
}

func start(t *testing.T) *subject {
	t.Helper()
	s := &subject{}
	cmd := exec.Command(os.Args[0])
	s.Data = t.TempDir()
	cmd.Env = append(os.Environ(), serverVariable+"="+s.Data)
	cmd.Stderr = &s.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the server ends: %v\n%s", err, s.log.String())
		}
	})
	s.in, s.out = in, json.NewDecoder(out)
	var banner struct{ URL, Admin string }
	if err := s.out.Decode(&banner); err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	s.URL, s.Admin = banner.URL, banner.Admin
	return s
}

// holds asks the server.
func (s *subject) holds(t *testing.T) (h held) { return s.say(t, "\n") }

func (s *subject) say(t *testing.T, line string) (h held) {
	t.Helper()
	if _, err := io.WriteString(s.in, line); err != nil {
		t.Fatal(err)
	}
	if err := s.out.Decode(&h); err != nil {
		t.Fatal(err)
	}
	return h
}

// warnings returns the lines of the log that are more than information, but for those that say that the machine's disk
// is slow.
func (s *subject) warnings() (list []string) {
	for line := range strings.Lines(s.log.String()) {
		slow := strings.Contains(line, "the listing did not answer") && strings.Contains(line, "deadline exceeded")
		if !slow && !strings.Contains(line, `"level":"INFO"`) {
			list = append(list, line)
		}
	}
	return list
}
