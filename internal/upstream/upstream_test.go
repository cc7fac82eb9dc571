package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/cluster"
)

const cats = siaran.StreamName("cats")

// ask makes a parent of a handler. log gets what is said about it.
func ask(t *testing.T, h http.HandlerFunc) (p *Parent, log *bytes.Buffer) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	log = &bytes.Buffer{}
	p, err := New(Config{
		URL: s.URL + "/", Node: "edge one", Logger: slog.New(slog.NewTextHandler(log, nil)),
		Token: func(name siaran.StreamName) (string, error) { return "token-for-" + string(name), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Shut)
	return p, log
}

func TestAddresses(t *testing.T) {
	for text, good := range map[string]bool{
		"https://origin.example.org": true, "http://127.0.0.1:8080/": true, "": false, "origin.example.org": false,
		"ftp://a": false, "https://a/path": false, "https://user:password@a": false, "https://a?b": false,
		"https://a#b": false,
	} {
		if _, err := ParseURL(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOpen(t *testing.T) {
	deleted := ""
	p, _ := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization") + ", " + r.Header.Get(HeaderWay); got !=
			"Bearer token-for-cats, child, edge%20one" {
			t.Errorf("the parent is shown %q", got)
		}
		if r.Method == http.MethodDelete {
			deleted = r.URL.Path
			return
		}
		if body, _ := io.ReadAll(r.Body); r.URL.Path != "/whep/cats" || string(body) != "offer" {
			t.Errorf("%s gets %q", r.URL, body)
		}
		w.Header().Set("Content-Type", "application/sdp")
		w.Header().Set("Location", "/whep/cats/id")
		w.Header().Set(HeaderBroadcast, "b-1")
		w.Header().Set(HeaderStarted, "2026-01-02T03:04:05.6Z")
		w.Header().Set(HeaderWay, "origin, middle")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "answer")
	})
	ctx := siaran.WithWay(t.Context(), siaran.Way{"child"})
	s, err := p.Open(ctx, cats, []byte("offer"))
	if err != nil || string(s.Answer) != "answer" || s.Broadcast != "b-1" || s.Way.String() != "origin, middle" ||
		!s.StartedAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC)) {
		t.Errorf("%+v, %v", s, err)
	}
	p.Close(ctx, s)
	if deleted != "/whep/cats/id" {
		t.Errorf("%q is ended", deleted)
	}
}

// TestTokenIsForTheStreamThatWasAskedFor, whichever the parent names in the address of the session.
func TestTokenIsForTheStreamThatWasAskedFor(t *testing.T) {
	for _, location := range []string{"/whep/dogs/id", "/whep/*/id", "/id"} {
		shown := ""
		p, _ := ask(t, func(w http.ResponseWriter, r *http.Request) {
			shown = r.Header.Get("Authorization")
			w.Header().Set("Content-Type", "application/sdp")
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusCreated)
		})
		s, err := p.Open(t.Context(), cats, []byte("offer"))
		if err != nil {
			t.Fatal(err)
		}
		p.Close(t.Context(), s)
		if shown != "Bearer token-for-cats" {
			t.Errorf("%s is ended with %q", location, shown)
		}
	}
}

// TestOddDates: what cannot be written as JSON is not taken. One such stream would spoil the list of all.
func TestOddDates(t *testing.T) {
	for _, at := range []string{"9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"} {
		p, _ := ask(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"name":"cats","status":"live","startedAt":%q}`, at)
				return
			}
			w.Header().Set("Content-Type", "application/sdp")
			w.Header().Set("Location", "/whep/cats/id")
			w.Header().Set(HeaderStarted, at)
			w.WriteHeader(http.StatusCreated)
		})
		stream, err := p.Stream(t.Context(), cats)
		if err != nil || !stream.StartedAt.IsZero() {
			t.Errorf("%s: %v, %v", at, stream.StartedAt, err)
		}
		session, err := p.Open(t.Context(), cats, []byte("offer"))
		if err != nil || !session.StartedAt.IsZero() {
			t.Errorf("%s: %v, %v", at, session.StartedAt, err)
		}
	}
}

// TestRefusals: what the parent says becomes what callers can act on, or words for the log.
func TestRefusals(t *testing.T) {
	problem := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "/session")
			w.WriteHeader(status)
			fmt.Fprint(w, "<html>")
		}
	}
	to := func(where string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", where)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		want error  // nil: says is in its words
		says string // of both questions
	}{
		"unknown":   {problem(404, "{}"), siaran.ErrUnknownStream, ""},
		"not live":  {problem(409, "{}"), siaran.ErrNotLive, ""},
		"private":   {problem(401, "{}"), cluster.ErrHidden, ""},
		"forbidden": {problem(403, "{}"), cluster.ErrHidden, ""},
		"circle":    {problem(508, `{"code":"loop"}`), siaran.ErrLoop, ""},
		"far":       {problem(508, `{"code":"too-far"}`), siaran.ErrTooFar, ""},
		"full":      {problem(503, "{\"detail\":\"no\\u001b[31m room\"}"), nil, "503 (service unavailable): no[31m room"},
		"a page":    {page(200), nil, ""},
		"no page":   {page(404), nil, "text/html"},
		"a session": {page(201), nil, ""},
		"redirects": {to("/again"), nil, "more than 2"},
		"elsewhere": {to("ftp://a/b"), nil, "not HTTP"},
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, maxBody+1))
		}, nil, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := ask(t, tt.h)
			_, looked := p.Stream(t.Context(), cats)
			_, opened := p.Open(t.Context(), cats, []byte("offer"))
			for _, err := range []error{looked, opened} {
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v, want %v %q", err, tt.want, tt.says)
				}
			}
		})
	}
}

// TestNoWayDown: nothing is sent over plain HTTP because a server with HTTPS says so.
func TestNoWayDown(t *testing.T) {
	asked := false
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusTemporaryRedirect)
	}))
	defer secure.Close()
	p, err := New(Config{URL: secure.URL, Node: "edge", Logger: slog.New(slog.DiscardHandler),
		Transport: secure.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	_, looked := p.Stream(t.Context(), cats)
	_, opened := p.Open(t.Context(), cats, []byte("offer"))
	watched := p.Watch(t.Context(), nil, nil)
	for _, err := range []error{looked, opened, watched} {
		if err == nil || !strings.Contains(err.Error(), "HTTP") {
			t.Error(err)
		}
	}
	if asked {
		t.Error("it was asked all the same")
	}
}

func TestTrustIsToldOnce(t *testing.T) {
	known := false
	p, log := ask(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		if known {
			w.Header().Set(HeaderNode, "origin")
		}
		w.WriteHeader(http.StatusNotFound)
	})
	for _, known = range []bool{false, false, true, true, false} {
		if _, err := p.Stream(t.Context(), cats); !errors.Is(err, siaran.ErrUnknownStream) {
			t.Error(err)
		}
	}
	if text := log.String(); strings.Count(text, "does not know this server") != 2 ||
		strings.Count(text, "knows this server again") != 1 {
		t.Error(text)
	}
}

func TestStreamsOfTheParent(t *testing.T) {
	rules := `"rules":{"owner":"firebase:x","keyGeneration":3,"tokenGeneration":2}`
	for text, want := range map[string]error{
		`{"name":"cats","status":"live","visibility":"public"}`:                            nil,
		`{"name":"cats","status":"live"}`:                                                  nil,
		`{"name":"cats","status":"offline","visibility":"private",` + rules + `}`:          nil,
		`{"name":"cats","status":"live","visibility":"private"}`:                           siaran.ErrUnknownStream,
		`{"name":"cats","status":"live","visibility":"odd",` + rules + `}`:                 siaran.ErrUnknownStream,
		`{"name":"dogs","status":"live"}`:                                                  errWrongStream,
		`{"name":"../x","status":"live"}`:                                                  errWrongStream,
		`{"name":"cats","status":"dancing"}`:                                               errWrongStream,
		`[]`:                                                                               errWrongStream,
		`{"name":"cats","status":"live","title":"` + strings.Repeat("x", maxStream) + `"}`: errWrongStream,
	} {
		p, _ := ask(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, text)
		})
		s, err := p.Stream(t.Context(), cats)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%.200s: %.200s, %v", text, fmt.Sprintf("%+v", s), err)
		}
		if strings.Contains(text, rules) && err == nil &&
			(s.Owner != "firebase:x" || s.KeyGeneration != 3 || *s.TokenGeneration != 2) {
			t.Errorf("%+v", s)
		}
	}
}

func TestWatch(t *testing.T) {
	p, _ := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a token is sent for what is public")
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, ": ping\n\nevent: snapshot\ndata: {\"streams\":[{\"name\":\"cats\",\"status\":\"live\"}]}\n\n"+
			"event: come\ndata: {}\n\nevent: stream\ndata: {\"name\":\"dogs\",\"status\":\"live\"}\n\n"+
			"event: gone\ndata: {\"name\":\"cats\"}\n\n")
	})
	var got []string
	err := p.Watch(context.Background(), func(list []siaran.Stream) {
		for _, s := range list {
			got = append(got, "all "+string(s.Name))
		}
	}, func(e siaran.StreamEvent) { got = append(got, fmt.Sprint(e.Stream.Name, " ", e.Gone)) })
	if err == nil || strings.Join(got, " ") != "all cats dogs false cats true" {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzEvents looks for panics, and for streams that are told and must not be.
func FuzzEvents(f *testing.F) {
	f.Add("event: snapshot\ndata: {\"streams\":[{\"name\":\"cats\",\"status\":\"live\"}]}\n\n")
	f.Add("event: stream\ndata: {\"name\":\"cats\",\"status\":\"live\",\"visibility\":\"private\"}\n\n")
	f.Add("event: gone\ndata: {\"name\":\"cats\"}\n\ndata: x\n")
	f.Add("event: gone\ndata: {\"name\":\"\"}")
	f.Add(strings.Repeat("event: \n", 100))
	f.Fuzz(func(t *testing.T, text string) {
		check := func(s siaran.Stream) {
			if _, err := siaran.ParseStreamName(string(s.Name)); err != nil || s.TokenGeneration == nil &&
				s.Visibility != siaran.VisibilityPublic {
				t.Errorf("%+v", s)
			}
		}
		_ = readEvents(strings.NewReader(text), func() {}, func(list []siaran.Stream) {
			for _, s := range list {
				check(s)
			}
		}, func(e siaran.StreamEvent) { check(e.Stream) })
	})
}

var _ cluster.Parent = (*Parent)(nil)
