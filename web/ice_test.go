package web

import (
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"siaran"
	"siaran/web/access"
)

// withServers announces a relay with a credential of each session, and a STUN server.
func withServers(c *Config) {
	c.ICEServers = func(id siaran.SessionID, host string) []ICEServer {
		if host == "" {
			host = "fallback.example.org"
		} else if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		user := "1764000000:open"
		if id != "" {
			user = "1764000000:session"
		}
		return []ICEServer{
			{URLs: []string{"turn:" + host + ":3478?transport=udp", "turn:" + host + ":3478?transport=tcp",
				"turns:" + host + ":443?transport=tcp"}, Username: user, Credential: "c2VjcmV0/+=="},
			{URLs: []string{"stun:" + host + ":3478"}},
		}
	}
}

// obsLinks reads Link lines as OBS does: it splits at commas, then at semicolons, skips an entry that does not begin
// with the address, and takes what is between the first and the last quote as a value.
func obsLinks(lines []string) (servers []ICEServer) {
	value := func(s string) string { return s[strings.Index(s, `"`)+1 : strings.LastIndex(s, `"`)] }
	for _, line := range lines {
		for entry := range strings.SplitSeq(line, ",") {
			if strings.HasPrefix(entry, " ") {
				continue
			}
			var server ICEServer
			for part := range strings.SplitSeq(entry, ";") {
				switch {
				case strings.HasPrefix(part, "<"):
					server.URLs = []string{part[1:strings.Index(part, ">")]}
				case strings.Contains(part, "username="):
					server.Username = value(part)
				case strings.Contains(part, "credential="):
					server.Credential = value(part)
				}
			}
			servers = append(servers, server)
		}
	}
	return servers
}

// mediamtxLink is the only form that mediamtx can read.
var mediamtxLink = regexp.MustCompile(`^<(.+?)>; rel="ice-server"` +
	`(; username="(.*?)"; credential="(.*?)"; credential-type="password")?`)

func TestLinksAsClientsReadThem(t *testing.T) {
	t.Parallel()
	s := start(t, withServers)
	want := []ICEServer{
		{[]string{"turn:127.0.0.1:3478?transport=udp"}, "1764000000:session", "c2VjcmV0/+=="},
		{[]string{"turn:127.0.0.1:3478?transport=tcp"}, "1764000000:session", "c2VjcmV0/+=="},
		{[]string{"turns:127.0.0.1:443?transport=tcp"}, "1764000000:session", "c2VjcmV0/+=="},
		{[]string{"stun:127.0.0.1:3478"}, "", ""},
	}
	check := func(name string, lines []string) {
		t.Helper()
		if got := obsLinks(lines); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: OBS reads %+v", name, got)
		}
		var others []ICEServer
		for _, line := range lines {
			m := mediamtxLink.FindStringSubmatch(line)
			if m == nil || m[0] != line {
				t.Fatalf("%s: mediamtx does not read %s", name, line)
			}
			others = append(others, ICEServer{[]string{m[1]}, m[3], m[4]})
		}
		if !reflect.DeepEqual(others, want) {
			t.Errorf("%s: mediamtx reads %+v", name, others)
		}
	}
	p := s.broadcaster()
	whip := p.open("/whip/cats", s.publisher("cats"))
	check("WHIP", whip.Header.Values("Link"))
	udp := `<turn:127.0.0.1:3478?transport=udp>; rel="ice-server"; ` +
		`username="1764000000:session"; credential="c2VjcmV0/+=="; credential-type="password"`
	if first := whip.Header.Values("Link")[0]; first != udp {
		t.Error(first)
	}
	s.live("dogs")
	// The links of WHEP's extensions come last, and only here: mediamtx looks for servers with OPTIONS.
	links := s.viewer().open("/whep/dogs", "").Header.Values("Link")
	if len(links) != 6 {
		t.Fatalf("WHEP: links %q", links)
	}
	check("WHEP", links[:4])
}

// TestOptionsAnnounce: only callers that may open a session get credentials, and a browser's preflight gets nothing.
func TestOptionsAnnounce(t *testing.T) {
	t.Parallel()
	s := start(t, withServers)
	s.do(call{method: "PATCH", path: "/api/streams/secret", token: s.admin,
		body: `{"visibility":"private"}`}.with("Content-Type", "application/json"))
	watch := s.token(access.Claims{Stream: "secret", Scopes: []access.Scope{access.Watch}})
	for _, test := range []struct {
		name, path, token string
		preflight         bool
		links, secrets    int
	}{
		{"publisher", "/whip/cats", s.publisher("cats"), false, 4, 3},
		{"publisher without a name", "/whip", s.publisher("cats"), false, 4, 3},
		{"token in the address", "/whip/cats?token=" + s.publisher("cats"), "", false, 4, 3},
		{"nobody", "/whip/cats", "", false, 1, 0},
		{"nobody without a name", "/whip", "", false, 1, 0},
		{"for all streams without a name", "/whip", s.admin, false, 1, 0},
		{"another's", "/whip/cats", s.publisher("dogs"), false, 1, 0},
		{"junk", "/whip/cats", "junk", false, 1, 0},
		{"viewer", "/whep/cats", "", false, 4, 3},
		{"viewer with a habit", "/whep/cats", "undefined", false, 4, 3},
		{"viewer of a private stream", "/whep/secret", watch, false, 4, 3},
		{"stranger at a private stream", "/whep/secret", "", false, 1, 0},
		{"no name", "/whep/NO", "", false, 1, 0},
		{"preflight", "/whip/cats", s.publisher("cats"), true, 0, 0},
		{"session", "/whip/cats/x", s.publisher("cats"), false, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := call{method: "OPTIONS", path: test.path, token: test.token}
			if test.preflight {
				c = c.with("Access-Control-Request-Method", "POST", "Origin", "https://other.example")
			}
			r := s.do(c)
			links := r.Header.Values("Link")
			secrets := strings.Count(strings.Join(links, "\n"), "credential=")
			if r.StatusCode != http.StatusOK || len(links) != test.links || secrets != test.secrets {
				t.Errorf("%d: %q", r.StatusCode, links)
			}
			for _, l := range links {
				if !strings.Contains(l, `rel="ice-server"`) || strings.Contains(l, "session") {
					t.Error(l)
				}
			}
			wantCORS(t, r)
		})
	}
}

func TestICE(t *testing.T) {
	t.Parallel()
	s := start(t, withServers)
	var got struct {
		ICEServers []map[string]any `json:"iceServers"`
	}
	r := s.get("/api/ice", "", &got)
	want := []map[string]any{
		{"urls": []any{"turn:127.0.0.1:3478?transport=udp", "turn:127.0.0.1:3478?transport=tcp",
			"turns:127.0.0.1:443?transport=tcp"}, "username": "1764000000:open", "credential": "c2VjcmV0/+=="},
		{"urls": []any{"stun:127.0.0.1:3478"}},
	}
	if !reflect.DeepEqual(got.ICEServers, want) {
		t.Errorf("%+v", got)
	}
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Error(r.Header)
	}
	wantCORS(t, r)
	if strings.Contains(s.log.String(), "c2VjcmV0") {
		t.Error("a credential stands in the log")
	}
}

func TestICEWithoutServers(t *testing.T) {
	t.Parallel()
	s := start(t)
	if r := s.do(call{method: "GET", path: "/api/ice"}); strings.TrimSpace(r.body) != `{"iceServers":[]}` {
		t.Error(r.body)
	}
	if r := s.do(call{method: "OPTIONS", path: "/whip/cats"}); r.Header.Get("Link") != "" {
		t.Error(r.Header)
	}
}

// TestTooManyAskForICE: there is a limit on making credentials, beyond which OPTIONS answers without them.
func TestTooManyAskForICE(t *testing.T) {
	t.Parallel()
	s := start(t, withServers, func(c *Config) { c.Limits.ICE = Rate{0.001, 3} })
	for range 3 {
		if r := s.do(call{method: "GET", path: "/api/ice"}); r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
	}
	wantProblem(t, s.do(call{method: "GET", path: "/api/ice"}), http.StatusTooManyRequests)
	if r := s.do(call{method: "OPTIONS", path: "/whep/cats"}); r.StatusCode != http.StatusOK ||
		r.Header.Get("Link") != "" {
		t.Error(r.Status, r.Header)
	}
}

// TestHostOfRequests: the name by which a client calls this server is announced to it, unless it is junk.
func TestHostOfRequests(t *testing.T) {
	t.Parallel()
	s := start(t, withServers)
	for host, want := range map[string]string{
		"live.example.org":       "live.example.org",
		"LIVE.example.org:8080":  "live.example.org",
		"[2001:db8::1]:8080":     "[2001:db8::1]",
		"[2001:db8::1]":          "[2001:db8::1]",
		"192.0.2.1:80":           "192.0.2.1",
		"my_server":              "my_server",
		"0.0.0.0:8080":           "fallback.example.org",
		`a"; rel="x`:             "fallback.example.org",
		"a,b":                    "fallback.example.org",
		"a;b":                    "fallback.example.org",
		"user@evil.example":      "fallback.example.org",
		"evil.example?x=":        "fallback.example.org",
		"-x":                     "fallback.example.org",
		strings.Repeat("a", 300): "fallback.example.org",
	} {
		req, err := http.NewRequestWithContext(t.Context(), "OPTIONS", s.url+"/whep/cats", nil)
		s.must(err)
		req.Host = host
		req.Header.Set("X-Forwarded-Host", "evil.example")
		resp, err := s.client.Do(req)
		s.must(err)
		resp.Body.Close()
		if resp.StatusCode == http.StatusBadRequest { // net/http has seen it already
			continue
		}
		if link := resp.Header.Get("Link"); !strings.HasPrefix(link, "<turn:"+want+":3478?transport=udp>; rel=") {
			t.Errorf("%q: %q", host, link)
		}
	}
}

// TestLinksThatCannotBeRead are left out, and nothing breaks out of a header line.
func TestLinksThatCannotBeRead(t *testing.T) {
	t.Parallel()
	good := ICEServer{URLs: []string{"turn:a:1"}, Username: "u", Credential: "c"}
	for _, bad := range []string{"a b", "a\r\nX: y", `a"b`, "a;b", "a,b", "a>b", "ä", "\x00", `a\b`} {
		for _, server := range []ICEServer{
			{URLs: []string{"turn:" + bad}, Username: "u", Credential: "c"},
			{URLs: []string{"turn:a:1"}, Username: bad, Credential: "c"},
			{URLs: []string{"turn:a:1"}, Username: "u", Credential: bad},
		} {
			if links := iceLinks([]ICEServer{server, good}); len(links) != 1 {
				t.Errorf("%q", links)
			}
		}
	}
}

func FuzzHostOf(f *testing.F) {
	for _, seed := range []string{"", "a", "a:1", "[::1]:80", "[::1", "::1", "::ffff:127.0.0.1", "a b", "a\r\nb",
		"[fe80::1%eth0]", "1.2.3.4:x", "a.", ".", "localhost:8080"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		host, ok := HostOf(field)
		if ok == (host == "") {
			t.Errorf("%q: %q, %v", field, host, ok)
		}
		if strings.ContainsFunc(host, unfit) || strings.ContainsAny(host, "/@?#[]%") {
			t.Errorf("%q: %q does not fit into a URL", field, host)
		}
	})
}

// FuzzLinks: whatever is configured, each line is one that clients read.
func FuzzLinks(f *testing.F) {
	f.Add("turn:a:3478?transport=udp", "1764000000:abc", "c2VjcmV0/+==")
	f.Add("stun:a", "", "")
	f.Add("turn:a\r\nX: y", "a\"b", "c;d")
	f.Fuzz(func(t *testing.T, url, user, credential string) {
		server := ICEServer{URLs: []string{url}, Username: user, Credential: credential}
		links := iceLinks([]ICEServer{server})
		if len(links) == 0 {
			return
		}
		if user == "" {
			server.Credential = ""
		}
		if got := obsLinks(links); len(got) != 1 || !reflect.DeepEqual(got[0], server) {
			t.Errorf("%q is read as %+v", links, got)
		}
	})
}

// TestHSTS is sent only when asked for.
func TestHSTS(t *testing.T) {
	t.Parallel()
	if got := start(t).do(call{method: "GET", path: "/healthz"}).Header.Get("Strict-Transport-Security"); got != "" {
		t.Error(got)
	}
}
