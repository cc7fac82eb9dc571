package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/web/access"
)

func withAdmin(c *server.Config) { c.AdminListen = "127.0.0.1:0" }

// scrape returns the samples of /metrics by name with labels.
func scrape(t *testing.T, s *harness.Server) map[string]float64 {
	t.Helper()
	res := ask(t, s.Operators+"/metrics", nil)
	if res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	samples := make(map[string]float64)
	for lines := bufio.NewScanner(strings.NewReader(res.body)); lines.Scan(); {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			at := strings.LastIndex(line, " ")
			value, err := strconv.ParseFloat(line[at+1:], 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			samples[line[:at]] = value
		}
	}
	return samples
}

type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, url string, change func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// TestMetrics watches a stream and finds that in the metrics, each of which docs/metrics.md explains, without a name.
func TestMetrics(t *testing.T) {
	s := harness.Start(t, withAdmin)
	s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	s.Watch(t, harness.Cats)
	var m map[string]float64
	harness.Eventually(t, "the viewer has a picture", func() bool {
		m = scrape(t, s)
		return m["siaran_first_frame_seconds_count"] == 1 && m[`siaran_viewers{layer="240p",path="direct"}`] == 1
	})
	wanted := map[string]float64{
		`siaran_broadcasts{state="live"}`:                                            1,
		`siaran_broadcasts_begun_total`:                                              1,
		`siaran_publishes_total{outcome="connected"}`:                                1,
		`siaran_joins_total{outcome="connected"}`:                                    1,
		`siaran_join_stage_seconds_count{stage="handshake"}`:                         1,
		`siaran_join_stage_seconds_count{stage="frame"}`:                             1,
		`siaran_publish_stage_seconds_count{stage="media"}`:                          1,
		`siaran_sent_packets_total`:                                                  1,
		`siaran_received_packets_total`:                                              1,
		`siaran_udp_received_datagrams_total`:                                        1,
		`siaran_udp_sent_datagrams_total`:                                            1,
		`siaran_keyframe_cache_starts_total`:                                         1,
		`siaran_keyframes_total`:                                                     1,
		`siaran_forward_delay_seconds_count`:                                         1,
		`siaran_listing_calls_total{call="renew"}`:                                   1,
		`siaran_limit{limit="viewers"}`:                                              1000,
		`siaran_limit_used{limit="viewers"}`:                                         1,
		`siaran_limit_used{limit="ring_memory_bytes"}`:                               1,
		`siaran_limit_used{limit="descriptors"}`:                                     1,
		`go_gc_duration_seconds_count`:                                               0,
		`process_open_fds`:                                                           1,
		`siaran_placements_total{outcome="here"}`:                                    1,
		`siaran_bans_total{by="token"}`:                                              0,
		`siaran_relay_allocations`:                                                   0,
		`siaran_joins_total{outcome="no_check"}`:                                     0,
		`siaran_sent_lost_packets_total`:                                             0,
		`siaran_http_requests_total{code="201",method="POST",route="/whep/:stream"}`: 1,
	}
	for name, least := range wanted {
		harness.Eventually(t, name+" is there", func() bool { // some are counted a moment later
			value, there := m[name]
			if !there || value < least {
				m = scrape(t, s)
			}
			return there && value >= least
		})
	}
	docs := string(harness.ReadFile(t, "..", "..", "..", "docs", "metrics.md"))
	for name := range m {
		family := regexp.MustCompile(`^(siaran_[a-z_]+?)(_bucket|_sum|_count)?(\{.*)?$`).FindStringSubmatch(name)
		if family != nil && !strings.Contains(docs, "| `"+family[1]+"` |") {
			t.Errorf("docs/metrics.md has no %s", family[1])
		}
		if strings.Contains(name, "cats") {
			t.Errorf("%s names a stream", name)
		}
	}
	t.Run("as OpenMetrics", func(t *testing.T) {
		res := ask(t, s.Operators+"/metrics", func(r *http.Request) {
			r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
		})
		if !strings.HasPrefix(res.header.Get("Content-Type"), "application/openmetrics-text") ||
			!strings.HasSuffix(res.body, "# EOF\n") {
			t.Errorf("%v", res.header)
		}
	})
	t.Run("sessions", func(t *testing.T) { listSessions(t, s) })
	t.Run("by many at once", func(t *testing.T) { scrapeAtOnce(t, s) })
}

// listSessions looks at the list of sessions, which must not give away what they are changed with.
func listSessions(t *testing.T, s *harness.Server) {
	var list struct {
		Broadcasts   []struct{ Stream, Status string }
		Broadcasters []struct{ Health struct{ Connected bool } }
		Viewers      []struct{ Stream, State, Path string }
		AllViewers   int
	}
	get := func(query string) answer {
		res := ask(t, s.Operators+"/debug/sessions"+query, nil)
		if err := json.Unmarshal([]byte(res.body), &list); err != nil && res.status == http.StatusOK {
			t.Fatal(err, res.body)
		}
		return res
	}
	get("")
	if len(list.Broadcasts) != 1 || list.Broadcasts[0].Status != "live" || len(list.Broadcasters) != 1 ||
		!list.Broadcasters[0].Health.Connected || len(list.Viewers) != 1 || list.Viewers[0].State != "connected" ||
		list.Viewers[0].Path != "direct" || list.AllViewers != 1 {
		t.Errorf("%+v", list)
	}
	list.Viewers = nil
	if get("?stream=dogs"); len(list.Viewers) != 0 || list.AllViewers != 0 {
		t.Errorf("%+v", list)
	}
	for _, query := range []string{"?limit=0", "?limit=x", "?limit=100000"} {
		if res := get(query); res.status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, res.status)
		}
	}
}

// scrapeAtOnce has a hundred clients scrape at the same time: each gets metrics or is told to come again.
func scrapeAtOnce(t *testing.T, s *harness.Server) {
	var wg sync.WaitGroup
	counts := make(chan int, 100)
	for range cap(counts) {
		wg.Go(func() {
			res, err := http.Get(s.Operators + "/metrics")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			_, _ = io.Copy(io.Discard, res.Body)
			counts <- res.StatusCode
		})
	}
	wg.Wait()
	close(counts)
	served := 0
	for status := range counts {
		if status == http.StatusOK {
			served++
		} else if status != http.StatusServiceUnavailable {
			t.Errorf("%d", status)
		}
	}
	if served == 0 {
		t.Error("nobody is served")
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestStreamsInMetrics names as many streams as the operator wants.
func TestStreamsInMetrics(t *testing.T) {
	s := harness.Start(t, withAdmin, func(c *server.Config) { c.MetricsStreams = 1 })
	s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	harness.Eventually(t, "the stream is named", func() bool {
		m := scrape(t, s)
		return m[`siaran_stream_live{stream="cats"}`] == 1 && m[`siaran_stream_received_packets_total{stream="cats"}`] > 0
	})
}

// TestAdminIsForOperators tries what pages of other sites, and strangers, can do.
func TestAdminIsForOperators(t *testing.T) {
	s := harness.Start(t, withAdmin)
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"by address":        {nil, 200},
		"by localhost":      {func(r *http.Request) { r.Host = "localhost:9180" }, 200},
		"by IPv6":           {func(r *http.Request) { r.Host = "[::1]:9180" }, 200},
		"rebound name":      {func(r *http.Request) { r.Host = "evil.example:9180" }, 403},
		"page elsewhere":    {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"page on this site": {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }, 200},
		"other method":      {func(r *http.Request) { r.Method = "POST" }, 405},
	} {
		if res := ask(t, s.Operators+"/metrics", c.change); res.status != c.status {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
	for path, want := range map[string]int{
		"/": 200, "/debug/build": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine?debug=1": 200,
		"/nothing": 404, "/debug/pprof/nothing": 404,
	} {
		if res := ask(t, s.Operators+path, nil); res.status != want {
			t.Errorf("%s: %d %s", path, res.status, res.body)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/sessions"} {
		if res := ask(t, s.URL+path, nil); res.status != http.StatusNotFound {
			t.Errorf("the public port answers %s with %d", path, res.status)
		}
	}
}

// TestAdminElsewhere needs an admin token where others than this machine can connect, and for metrics one for these.
func TestAdminElsewhere(t *testing.T) {
	s := harness.Start(t, func(c *server.Config) { c.AdminListen = "0.0.0.0:0" })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.Operators, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.Logs.String(), "not on loopback") {
		t.Error("there is no warning")
	}
	scraper := s.Token(t, "*", access.Metrics)
	for token, want := range map[string]int{
		"": 401, "junk": 401, s.Admin: 200, s.Token(t, "cats", access.Admin): 401, s.Token(t, "*", access.Publish): 401,
		scraper: 401,
	} {
		for _, path := range []string{"/metrics", "/debug/sessions", "/debug/pprof/heap", "/"} {
			res := ask(t, "http://127.0.0.1:"+port+path, func(r *http.Request) {
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
			})
			want := want
			if token == scraper && path == "/metrics" {
				want = 200
			}
			if res.status != want {
				t.Errorf("%s with %.10q: %d", path, token, res.status)
			}
		}
	}
	if res := ask(t, s.URL+"/api/drain", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+scraper)
	}); res.status != http.StatusForbidden {
		t.Errorf("the API with a token for metrics: %d %s", res.status, res.body)
	}
}

// TestAdminPortInUse says so, and starts without the default port alone.
func TestAdminPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := harness.Config(t.TempDir())
	cfg.AdminListen = l.Addr().String()
	err = server.Run(context.Background(), cfg, slog.New(slog.DiscardHandler),
		func(server.Banner) { t.Error("it starts") }, server.Reload{})
	if err == nil || !strings.Contains(err.Error(), "--admin-listen") {
		t.Error(err)
	}
	if busy, err := net.Listen("tcp", server.DefaultAdminListen); err == nil {
		defer busy.Close()
	}
	s := harness.Start(t, func(c *server.Config) { c.AdminListen = server.DefaultAdminListen })
	if s.Operators != "" || !strings.Contains(s.Logs.String(), "--admin-listen") {
		t.Errorf("it serves at %q", s.Operators)
	}
}
