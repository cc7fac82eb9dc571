package web

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/web/access"
)

// emptying is a Drainer that does nothing.
type emptying struct {
	mu     sync.Mutex
	within time.Duration
	on     bool
}

func (e *emptying) Drain(within time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.on {
		return siaran.ErrDraining
	}
	e.within, e.on = within, true
	return nil
}

func (e *emptying) Undrain() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.on
	e.on = false
	return was
}

func (e *emptying) Draining() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.on
}

func (e *emptying) Left() (time.Duration, int, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.within, 2, 3
}

func (e *emptying) DrainTime() time.Duration { return time.Minute }

func TestDrainThroughTheAPI(t *testing.T) {
	t.Parallel()
	drainer := &emptying{}
	s := start(t, func(c *Config) { c.Drainer = drainer })
	ask := func(method, token, body string, status int) reply {
		t.Helper()
		c := call{method: method, path: "/api/drain", token: token, body: body}
		if body != "" {
			c = c.with("Content-Type", "application/json")
		}
		r := s.do(c)
		if r.StatusCode != status {
			t.Errorf("%s %s: %d %s", method, body, r.StatusCode, r.body)
		}
		return r
	}
	key := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Admin}})
	for _, method := range []string{"GET", "POST", "DELETE"} {
		ask(method, "", "", 401)
		ask(method, key, "", 403)
	}
	ask("DELETE", s.admin, "", 409)
	for body, status := range map[string]int{
		`{"seconds":-1}`: 422, `{"seconds":3601}`: 422, `{"seconds":"x"}`: 400, `{`: 400,
	} {
		ask("POST", s.admin, body, status)
	}
	r := ask("POST", s.admin, `{"seconds":90}`, 202)
	var view drainView
	s.must(json.Unmarshal([]byte(r.body), &view))
	if view != (drainView{Draining: true, Seconds: 90, Viewers: 3, Children: 2}) {
		t.Errorf("%+v", view)
	}
	ask("POST", s.admin, "", 409)
	wantProblem(t, s.do(call{method: "GET", path: "/readyz"}), 503)
	for path, token := range map[string]string{"/whip/cats": s.admin, "/whep/cats": ""} {
		r := s.do(call{method: "POST", path: path, token: token, body: "x"}.with(sdpBody...))
		if p := wantProblem(t, r, 503); p.Code != "draining" || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v %v", path, p, r.Header)
		}
	}
	ask("DELETE", s.admin, "", 200)
	if s.do(call{method: "GET", path: "/readyz"}).StatusCode != 200 {
		t.Error("it is not ready afterwards")
	}
	ask("POST", s.admin, "", 202)
	if drainer.within != time.Minute {
		t.Error(drainer.within)
	}
}

// TestBroadcasterComesBackToADrain: broadcasters go last.
func TestBroadcasterComesBackToADrain(t *testing.T) {
	t.Parallel()
	drainer := &emptying{on: true}
	s := start(t, func(c *Config) { c.Drainer = drainer })
	claims, err := s.secret.Verify(t.Context(), s.admin)
	s.must(err)
	s.hub.Expect([]siaran.BroadcastState{{Stream: "cats", ID: "b", Owner: claims.Owner(), StartedAt: time.Now()}})
	g := grant{claims: claims, stream: siaran.Stream{Name: "cats"}}
	if err := s.server.admits(s.server.whip(), g); err != nil {
		t.Error(err)
	}
	var f *failure
	if err := s.server.admits(s.server.whep(), g); !errors.As(err, &f) || f.kind.Code != "draining" {
		t.Error(err)
	}
}
