package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/testutil"
	"siaran/web/access"
)

const grafana = "../../../deploy/grafana"

// TestAlertRules lets each alert fire, on samples that promtool makes up.
func TestAlertRules(t *testing.T) {
	promtool := program(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = grafana
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
}

// TestPrometheus has Prometheus scrape a server with viewers, and asks it for every rule and every panel of the
// dashboard: each has an answer.
func TestPrometheus(t *testing.T) {
	path := program(t, "prometheus")
	t.Setenv("SIARAN_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer site.Close()
	s := harness.Start(t, withAdmin, func(c *server.Config) {
		c.Webhook, c.AuthWebhook, c.AuthWebhookFail = []string{site.URL}, site.URL, "closed"
	})
	p := startPrometheus(t, path, strings.TrimPrefix(s.Operators, "http://"))
	harness.Eventually(t, "the server is scraped", func() bool {
		return len(p.query(t, "siaran_joins_total")) > 0 && len(p.query(t, `up{job="siaran"} == 1`)) == 1
	})
	for _, q := range panels(t)["Viewers"] {
		harness.Eventually(t, "the number of viewers when nobody watches", func() bool { return len(p.query(t, q)) == 1 })
	}
	s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	for range 3 {
		s.Watch(t, harness.Cats)
	}
	for title, queries := range panels(t) {
		for _, q := range queries {
			harness.Eventually(t, title+" has an answer to "+q, func() bool { return len(p.query(t, q)) > 0 })
		}
	}
	harness.Eventually(t, "all rules are evaluated", func() bool {
		var list struct {
			Groups []struct {
				Rules []struct{ Name, Health, State, LastError string }
			}
		}
		p.get(t, "/api/v1/rules", nil, &list)
		rules := 0
		for _, g := range list.Groups {
			for _, r := range g.Rules {
				if r.LastError != "" || r.State == "firing" {
					t.Fatalf("%+v", r)
				}
				if r.Health == "ok" {
					rules++
				}
			}
		}
		return rules == strings.Count(string(harness.ReadFile(t, grafana, "alerts.yaml")), "- alert:")
	})
}

// program is the path of a program of Debian's package prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("SKIPPED: no %s: 'apt-get install prometheus' on Debian; its service is not needed", name)
	}
	return path
}

// prometheus is a process that scrapes a server each second.
type prometheus struct{ url string }

func startPrometheus(t *testing.T, path, target string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	config := string(harness.ReadFile(t, grafana, "prometheus.yaml"))
	config = strings.NewReplacer("127.0.0.1:9180", target, "15s", "1s").Replace(config)
	for name, text := range map[string]string{
		"prometheus.yaml": config, "alerts.yaml": string(harness.ReadFile(t, grafana, "alerts.yaml")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &prometheus{"http://" + testutil.FreeAddress(t)}
	cmd := exec.Command(path, "--config.file="+filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+strings.TrimPrefix(p.url, "http://"))
	log := &harness.Log{T: t}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it says that it was killed
	})
	harness.Eventually(t, "Prometheus is ready", func() bool {
		res, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return p
}

// get asks Prometheus, and fails unless it succeeds.
func (p *prometheus) get(t *testing.T, path string, query url.Values, into any) {
	t.Helper()
	res, err := http.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("%v: %s %s: %v", query, answer.Status, answer.Error, err)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		t.Fatal(err)
	}
}

// query returns the series that a query results in.
func (p *prometheus) query(t *testing.T, q string) []json.RawMessage {
	t.Helper()
	var data struct{ Result []json.RawMessage }
	p.get(t, "/api/v1/query", url.Values{"query": {q}}, &data)
	return data.Result
}

// panels returns the queries of the dashboard by panel, as Grafana would send them.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(harness.ReadFile(t, grafana, "dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	list := make(map[string][]string)
	for _, panel := range dashboard.Panels {
		if panel.Type == "row" {
			continue
		}
		for _, target := range panel.Targets {
			q := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(target.Expr)
			list[panel.Title] = append(list[panel.Title], q)
		}
	}
	if len(list) < 20 {
		t.Fatalf("%d panels", len(list))
	}
	return list
}
