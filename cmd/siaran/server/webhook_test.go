package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/testutil"
)

// TestWebhooks runs a whole server: what is said about the demo comes to the receiver, the end with the server's own,
// and the log says nothing that is secret.
func TestWebhooks(t *testing.T) {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	var mu sync.Mutex
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Type string
			Data struct{ Node, Stream, Reason string }
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &event)
		}
		if err != nil || r.Header.Get("webhook-signature") == "" {
			t.Error(err, r.Header)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, strings.TrimSpace(event.Type+" "+event.Data.Stream+" "+event.Data.Reason))
	}))
	defer receiver.Close()
	t.Setenv("SIARAN_WEBHOOK_SECRET", secret)
	s := harness.Start(t, func(c *server.Config) {
		c.Demo = true
		c.Webhook = []string{receiver.URL + "/hidden?key"}
	})
	list := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(got, ", ")
	}
	testutil.Eventually(t, "the demo's start is told", func() bool { return list() == "stream.started demo" })
	s.Stop(t)
	if log := s.Logs.String(); strings.Contains(log, "hidden") || strings.Contains(log, "MDEy") {
		t.Error(log)
	}
	if list() == "stream.started demo" {
		s = harness.Start(t, func(c *server.Config) { // the machine was too slow: it waits in the file
			c.Data = s.Data
			c.Webhook = []string{receiver.URL + "/hidden?key"}
		})
	}
	testutil.Eventually(t, "the demo's end is told", func() bool {
		return list() == "stream.started demo, stream.ended demo stopped"
	})
}
