package main

import (
	"encoding/json"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/bench"
)

// TestBenchAtTwoServers publishes to an origin, and watches there and at its edge.
func TestBenchAtTwoServers(t *testing.T) {
	origin := harness.Start(t, func(c *server.Config) { c.Node = "origin" })
	edge := harness.Start(t, func(c *server.Config) { c.Node, c.Parent = "edge", origin.URL })
	code, out, stderr := command(t.Context(), "bench", "--whip", origin.WHIP("cats"), "--token", origin.Admin,
		"--whep", origin.WHEP("cats"), "--whep", edge.WHEP("cats"), "--viewers=6", "--readers=1", "--duration=1s",
		"--settle=0s", "--json")
	var r bench.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("%d %v %s", code, err, stderr)
	}
	if len(r.Servers) != 2 || r.Viewers.Joined != 6 || r.Viewers.Redirects != 0 {
		t.Fatalf("%+v %+v", r.Servers, r.Viewers)
	}
	for _, s := range r.Servers {
		if s.Viewers != 3 || s.Latency == nil || s.Latency.Samples == 0 {
			t.Errorf("%+v", s)
		}
	}
}
