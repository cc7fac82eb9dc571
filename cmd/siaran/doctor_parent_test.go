package main

import (
	"encoding/json"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/doctor"
)

// TestDoctorLooksAtTheParent as an edge of it does.
func TestDoctorLooksAtTheParent(t *testing.T) {
	shared := harness.WriteFile(t, "shared.key", strings.Repeat("s", 32))
	other := harness.WriteFile(t, "other.key", strings.Repeat("o", 32))
	s := harness.Start(t, func(c *server.Config) { c.Demo, c.SecretFile = true, []string{shared} })
	harness.Eventually(t, "the demo is live", func() bool {
		return strings.Contains(s.Body(t, "/api/streams", s.Admin), `"demo"`)
	})
	run := func(args ...string) *doctor.Report {
		args = append([]string{"doctor", "--listen=127.0.0.1:0", "--udp=127.0.0.1:0", "--tcp=", "--turn=", "--node=edge",
			"--data", t.TempDir(), "--json"}, args...)
		_, out, _ := command(t.Context(), args...)
		var r doctor.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		return &r
	}
	r := run("--parent", s.URL, "--secret-file", shared)
	for _, name := range []string{"dns", "tcp", "http", "clock", "ready", "stream"} {
		harness.WantFinding(t, r, "parent-"+name, doctor.OK, "")
	}
	harness.WantFinding(t, r, "parent-secret", doctor.OK, "the parent, test, knows")
	harness.WantFinding(t, r, "parent-udp", doctor.OK, s.Media)
	r = run("--parent", s.URL, "--secret-file", other)
	harness.WantFinding(t, r, "parent-secret", doctor.Fail, "does not know this server")
	harness.WantFinding(t, r, "parent-udp", doctor.OK, s.Media)
	harness.WantFinding(t, run("--parent", s.URL), "parent-secret", doctor.Skip, "a viewer")
	harness.WantFinding(t, run("--parent", s.URL, "--secret-file", shared, "--node=test"), "parent-secret", doctor.Fail,
		"each server a --node of its own")
	r = run("--parent", "http://127.0.0.1:1")
	harness.WantFinding(t, r, "parent-tcp", doctor.Fail, "nothing listens")
	harness.WantFinding(t, r, "parent-udp", doctor.Skip, "not tried")
}
