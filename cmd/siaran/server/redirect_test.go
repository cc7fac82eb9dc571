package server_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/testutil"
)

// TestRedirect sends plain HTTP on, method and all, and writes nothing of it into the log.
func TestRedirect(t *testing.T) {
	at := testutil.FreeAddress(t)
	s := harness.StartSecure(t, func(c *server.Config) { c.Redirect, c.LogLevel = at, -8 })
	_, port, _ := net.SplitHostPort(s.Address())
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, test := range []struct {
		method, host, path string
		status             int
		to                 string
	}{
		{"GET", "live.example.org", "/watch/cats?x=1", 308, "https://live.example.org:" + port + "/watch/cats?x=1"},
		{"POST", "live.example.org:80", "/whip/cats?token=geheim", 308,
			"https://live.example.org:" + port + "/whip/cats?token=geheim"},
		{"GET", "[2001:db8::1]:80", "/", 308, "https://[2001:db8::1]:" + port + "/"},
		{"GET", "192.0.2.1", "//evil.example/", 308, "https://192.0.2.1:" + port + "//evil.example/"},
		{"PATCH", "live.example.org", "/whip/cats/x", 405, ""}, // W09
		{"DELETE", "live.example.org", "/whip/cats/x", 405, ""},
		{"GET", "a b", "/", 400, ""},
		{"GET", "evil.example/x?", "/", 400, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+at+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		req.Header.Set("Authorization", "Bearer geheim")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var refusal struct{ Type, Code string }
		if test.status >= 400 && json.NewDecoder(res.Body).Decode(&refusal) != nil || refusal.Type != "" &&
			refusal.Type != "/problems/"+refusal.Code || (refusal.Code == "https-needed") != (test.status == 405) {
			t.Errorf("%s %s: %+v", test.method, test.host, refusal)
		}
		res.Body.Close()
		if res.StatusCode != test.status || res.Header.Get("Location") != test.to {
			t.Errorf("%s %s: %d to %q", test.host, test.path, res.StatusCode, res.Header.Get("Location"))
		}
		problem := res.Header.Get("Content-Type") == "application/problem+json"
		if problem != (test.status >= 400) || (test.status == 405) != (res.Header.Get("Allow") != "") {
			t.Errorf("%s %s: %v", test.method, test.host, res.Header)
		}
	}
	if strings.Contains(s.Logs.String(), "geheim") {
		t.Error("a token stands in the log")
	}
}

// TestRedirectToBaseURL goes where the server is known to be.
func TestRedirectToBaseURL(t *testing.T) {
	at := testutil.FreeAddress(t)
	harness.StartSecure(t, func(c *server.Config) { c.Redirect, c.BaseURL = at, "https://live.example.org" })
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := c.Get("http://" + at + "/watch/cats")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if to := res.Header.Get("Location"); to != "https://live.example.org/watch/cats" {
		t.Error(to)
	}
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET x:.evil.example/ HTTP/1.1\r\nHost: live.example.org\r\n\r\n")
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 400") { // the server closes it
		t.Errorf("%q", answer)
	}
}
