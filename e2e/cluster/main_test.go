package cluster

import (
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"siaran"
	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/whep"
)

func TestMain(m *testing.M) {
	harness.Parallel(2)
	os.Exit(harness.Main(m))
}

// secretFile makes a secret for several servers.
func secretFile(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	path := filepath.Join(t.TempDir(), "shared.key")
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// node starts a server that shares a secret, if there is one.
func node(t *testing.T, name, secret string, options ...func(*server.Config)) *harness.Server {
	t.Helper()
	return harness.Start(t, append([]func(*server.Config){func(c *server.Config) {
		c.Node = name
		if secret != "" {
			c.SecretFile = []string{secret}
		}
	}}, options...)...)
}

// below makes a server an edge of another one.
func below(parent string) func(*server.Config) {
	return func(c *server.Config) { c.Parent = parent }
}

// goLive broadcasts a key frame every second. A viewer that loses a packet on a busy machine recovers at the next one.
func goLive(t *testing.T, s *harness.Server) *harness.Broadcaster {
	t.Helper()
	b := s.Broadcast(t, harness.Cats, s.Admin, 25)
	s.WaitListed(t, harness.Cats)
	return b
}

// watchAll has viewers come at once, and returns them when all are connected.
func watchAll(t *testing.T, s *harness.Server, n int, options ...func(*whep.Config)) []*harness.Viewer {
	t.Helper()
	viewers := make([]*harness.Viewer, n)
	var coming sync.WaitGroup
	for i := range viewers {
		coming.Go(func() { viewers[i] = s.Watch(t, harness.Cats, options...) })
	}
	coming.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return viewers
}

// lines counts the lines of a server's log that contain a text.
func lines(s *harness.Server, text string) (n int) {
	for line := range strings.Lines(s.Logs.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// offer posts a viewer's offer, and returns the status of the answer and the answer.
func offer(t *testing.T, s *harness.Server, stream siaran.StreamName, token string) harness.Response {
	t.Helper()
	text, err := os.ReadFile("../../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	return s.Request(t, http.MethodPost, s.WHEP(stream), token, "application/sdp", string(text))
}

// answered is offer, until it is answered by more than that one should come again: so an edge says when the machine has
// taken seconds to ask its parent.
func answered(t *testing.T, s *harness.Server, stream siaran.StreamName, token string) (r harness.Response) {
	t.Helper()
	harness.Eventually(t, "the offer is answered", func() bool {
		r = offer(t, s, stream, token)
		return r.StatusCode != http.StatusServiceUnavailable
	})
	return r
}

// ended is how often the media of a parent has ended at these servers, which is when the machine has stood still for a
// second.
func ended(servers ...*harness.Server) (n int) {
	for _, s := range servers {
		n += lines(s, "the parent's media has ended")
	}
	return n
}

func wantStatus(t *testing.T, what string, r harness.Response, status int) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("%s: %d %s, want %d", what, r.StatusCode, r.Body, status)
	}
}
