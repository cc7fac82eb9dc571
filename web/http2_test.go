package web

import (
	"bufio"
	"net/http/httptest"
	"testing"
	"time"
)

// TestEventsOverHTTP2: they outlive all deadlines, which end streams of HTTP/2 even while nothing is read or written.
func TestEventsOverHTTP2(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) { s.sendTime, s.pingEvery = 3*time.Second, 1200*time.Millisecond })
	server := httptest.NewUnstartedServer(s.server.echo)
	server.EnableHTTP2 = true
	server.Config.ReadTimeout, server.Config.WriteTimeout = 3*time.Second, 3*time.Second
	server.StartTLS()
	t.Cleanup(server.Close)
	res, err := server.Client().Get(server.URL + "/api/streams/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Error(res.Proto)
	}
	pings := 0
	for lines := bufio.NewScanner(res.Body); pings < 3 && lines.Scan(); {
		if lines.Text() == ": ping" {
			pings++
		}
	}
	if pings < 3 {
		t.Errorf("the stream ended after %d pings", pings)
	}
}
