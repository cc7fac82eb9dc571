package doctor

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"siaran/internal/testutil"
)

func look(t *testing.T, cfg ServerConfig) *Report {
	t.Helper()
	r, err := Server(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]string{
		"https://live.example.org": "https://live.example.org", "http://127.0.0.1:8080/": "http://127.0.0.1:8080",
		"https://[2001:db8::1]/watch/cats": "https://[2001:db8::1]",
		"live.example.org":                 "", "ftp://x": "", "https://": "", "": "", "https://x/?a=b": "",
		"https://me:pw@x": "",
	} {
		u, err := ParseURL(text)
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%q: %v %v", text, u, err)
		}
	}
}

// all is the names of a whole run, in order.
var all = []string{"dns", "tcp", "tls", "http", "clock", "ready", "cors", "ice", "stream", "udp", "turn-udp",
	"turn-tcp", "turn-tls", "ice-tcp"}

// TestEveryStageIsNamed whatever has failed: scripts look for them.
func TestEveryStageIsNamed(t *testing.T) {
	s := fakeServer(t, false, nil)
	for name, url := range map[string]string{
		"no name": "http://no-such-name.invalid", "closed port": "http://" + closed(t), "nothing is live": s.URL,
		"no TLS": strings.Replace(s.URL, "http", "https", 1),
	} {
		var names []string
		for _, c := range look(t, ServerConfig{URL: url}).Checks {
			names = append(names, c.Name)
		}
		if !slices.Equal(names, all) {
			t.Errorf("%s: %v", name, names)
		}
	}
}

func TestClosedPort(t *testing.T) {
	r := look(t, ServerConfig{URL: "http://" + closed(t)})
	one(t, named(r, "tcp"), Fail, "nothing listens")
	one(t, named(r, "udp"), Skip, "not tried")
	if r.OK {
		t.Error("that is not well")
	}
}

func TestUnknownName(t *testing.T) {
	one(t, named(look(t, ServerConfig{URL: "http://no-such-name.invalid"}), "dns"), Fail,
		"no-such-name.invalid has no address")
}

func TestNothingToWatch(t *testing.T) {
	r := look(t, ServerConfig{URL: fakeServer(t, false, nil).URL})
	one(t, named(r, "stream"), Skip, "no public stream is live", "--token")
	one(t, named(r, "udp"), Skip)
	one(t, named(r, "ice"), Warn, "given no relay")
	if !r.OK {
		t.Errorf("%v", r.Checks)
	}
}

func TestWhatAnswersOverHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		check   string
		special map[string]http.HandlerFunc
		status  Status
		says    string
	}{
		"healthy":         {"http", nil, OK, "answers"},
		"another program": {"http", map[string]http.HandlerFunc{"/healthz": status(404)}, Fail, "not Siaran"},
		"any page":        {"http", map[string]http.HandlerFunc{"/healthz": text("<html>")}, Fail, "not Siaran"},
		"proxy alone":     {"http", map[string]http.HandlerFunc{"/healthz": status(502)}, Fail, "a proxy answers 502"},
		"redirect": {"http", map[string]http.HandlerFunc{"/healthz": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/secret/path", http.StatusMovedPermanently)
		}}, Fail, "redirects to https://elsewhere.example."},
		"silence": {"http", map[string]http.HandlerFunc{"/healthz": func(w http.ResponseWriter, _ *http.Request) {
			panic(http.ErrAbortHandler)
		}}, Fail, "does not answer over HTTP"},
		"not ready": {"ready", map[string]http.HandlerFunc{"/readyz": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			w.Write([]byte(`{"title":"x","detail":"the listing does not answer"}`))
		}}, Fail, "503: the listing does not answer"},
		"clock": {"clock", map[string]http.HandlerFunc{"/healthz": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
			w.Write([]byte(`{"status":"ok"}`))
		}}, Fail, "behind that of"},
		"no CORS": {"cors", map[string]http.HandlerFunc{"/whep/": status(405)}, Warn, "may not call"},
		"CORS twice": {"cors", map[string]http.HandlerFunc{"/whep/": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Access-Control-Allow-Origin"] = []string{"*", "*"}
		}}, Warn, "comes twice"},
		"CORS for some": {"cors", map[string]http.HandlerFunc{"/whep/": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "https://mine.example")
		}}, OK, "https://mine.example"},
		"CORS without headers": {"cors", map[string]http.HandlerFunc{"/whep/": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}}, Warn, "lacks"},
		"older server":  {"ice", map[string]http.HandlerFunc{"/api/ice": status(404)}, Fail, "404"},
		"relays unread": {"ice", map[string]http.HandlerFunc{"/api/ice": text("<html>")}, Fail, "cannot be read"},
		"no list":       {"stream", map[string]http.HandlerFunc{"/api/streams": status(500)}, Fail, "/api/streams"},
		"junk for list": {"stream", map[string]http.HandlerFunc{"/api/streams": text("[")}, Fail, "cannot be read"},
		"viewer refused": {"udp", map[string]http.HandlerFunc{
			"/api/streams": text(`{"streams":[{"name":"cats","status":"live","video":{}}]}`), "POST /whep/cats": status(503),
		}, Fail, "refuses a viewer: 503"},
		"answer is junk": {"udp", map[string]http.HandlerFunc{
			"/api/streams": text(`{"streams":[{"name":"cats","status":"live","video":{}}]}`),
			"POST /whep/cats": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/whep/cats/1")
				w.WriteHeader(201)
			},
		}, Fail, "announces no address"},
	} {
		t.Run(name, func(t *testing.T) {
			one(t, named(look(t, ServerConfig{URL: fakeServer(t, false, c.special).URL}), c.check), c.status, c.says)
		})
	}
}

func TestTokenThatDoesNotDo(t *testing.T) {
	for code, says := range map[int]string{401: "not accepted", 403: "does not allow publishing doctor-",
		503: "cannot be created (503"} {
		s := fakeServer(t, false, map[string]http.HandlerFunc{"PATCH /api/streams/": status(code)})
		r := look(t, ServerConfig{URL: s.URL, Token: "T"})
		one(t, named(r, "stream"), Fail, says)
		one(t, named(r, "ice-tcp"), Skip, "nothing could be published")
	}
}

// TestInterrupted ends at once with its context, whatever does not answer.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := fakeServer(t, false, map[string]http.HandlerFunc{"/readyz": func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}})
	begun := time.Now()
	if _, err := Server(ctx, ServerConfig{URL: s.URL}, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > testutil.Patience/2 {
		t.Errorf("it went on for %s", took)
	}
}
