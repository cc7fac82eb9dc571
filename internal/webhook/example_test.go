package webhook

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/signedpost"
	"siaran/internal/testutil"
	"siaran/listing/listingtest"
)

var goBlock = regexp.MustCompile("(?s)```go\n(package main.*?)```")

// TestReceiverInTheDocs builds the receiver of docs/webhooks.md and sends to it.
func TestReceiverInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), goBlock.FindSubmatch(page)[1], 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "receiver")
	if out, err := exec.Command("go", "build", "-o", binary, filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := freeAddress(t)
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret, "LISTEN="+address)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	testutil.Eventually(t, "the receiver refuses what is not signed", func() bool {
		r, err := http.Post("http://"+address+"/siaran", "application/json", strings.NewReader(`{"type": "stream.started"}`))
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusForbidden
	})
	http.DefaultClient.CloseIdleConnections()
	tellOf(t, filepath.Join(dir, "webhooks.db"), address)
	scanner := bufio.NewScanner(out)
	var got []string
	for len(got) < 2 && scanner.Scan() {
		got = append(got, strings.Join(strings.Fields(scanner.Text())[1:], " "))
	}
	if want := []string{"stream.started cats", "stream.ended cats stopped"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// tellOf tells the receiver at an address of one broadcast, until the test ends.
func tellOf(t *testing.T, path, address string) {
	t.Helper()
	secrets, err := signedpost.ParseSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	u, err := signedpost.ParseURL("http://" + address + "/siaran")
	if err != nil {
		t.Fatal(err)
	}
	hub := siaran.NewHub(time.Minute, codec.NewFramer)
	s, err := Open(t.Context(), Config{
		Hub: hub, Path: path, URLs: []*url.URL{u}, Secrets: secrets, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	listingtest.Publish(t, hub, "cats").Stop()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
}
