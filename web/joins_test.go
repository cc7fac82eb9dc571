package web

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// TestJoinsAreSpread: those who are sent away together come back over as long as they need, and never much later.
func TestJoinsAreSpread(t *testing.T) {
	j := newJoins(100)
	now := time.Unix(1000, 0)
	again := make(map[int]int) // by Retry-After
	taken := 0
	for range 1100 {
		err := j.take(now, true)
		var f *failure
		switch {
		case err == nil:
			taken++
		case errors.As(err, &f) && f.status() == 503:
			again[f.retryAfter]++
		default:
			t.Fatal(err)
		}
	}
	if used := j.used(); used < 0 || used > 100 {
		t.Errorf("%d of 100 in use", used)
	}
	if taken != 100 {
		t.Errorf("%d are let in at once, want a second's worth", taken)
	}
	for s := 1; s <= 10; s++ {
		if again[s] == 0 {
			t.Errorf("nobody is to come after %d s: %v", s, again)
		}
	}
	for s := range again {
		if s > 11 {
			t.Errorf("somebody is to come after %d s, when all have come after 10", s)
		}
	}
	for range 100_000 { // a flood
		_ = j.take(now, true)
	}
	var f *failure
	if err := j.take(now, true); !errors.As(err, &f) || f.retryAfter < 1 || f.retryAfter > mostAway {
		t.Errorf("%v", err)
	}
	if err := j.take(now.Add(2*time.Second), true); err != nil {
		t.Errorf("when the flood is over: %v", err)
	}
}

// TestOneSourceLeavesRoomForOthers: who asks far more often than the server takes viewers keeps nobody else out.
func TestOneSourceLeavesRoomForOthers(t *testing.T) {
	j := newJoins(100)
	now := time.Unix(1000, 0)
	for second := range 10 {
		greedy := 0
		for i := range 500 { // a stranger, and a viewer after every tenth of its requests
			now = now.Add(2 * time.Millisecond)
			if j.take(now, false) == nil {
				greedy++
			}
			if i%10 == 0 && j.take(now, true) != nil {
				t.Fatalf("second %d: a viewer is sent away", second)
			}
		}
		if second > 0 && (greedy < 40 || greedy > 60) {
			t.Errorf("second %d: the stranger gets %d, want what the 50 viewers leave", second, greedy)
		}
	}
}

// TestTooManyJoins: viewers are sent away before their offers are read, and broadcasters are not among them.
func TestTooManyJoins(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) { s.joins = &joins{perSecond: 0.001, tokens: rate.NewLimiter(0.001, 2)} })
	token := s.publisher("cats")
	s.live("cats")
	watch := call{method: "POST", path: "/whep/cats", body: offer(t, "whep-chromium")}.with(sdpBody...)
	for range 2 {
		if r := s.do(watch); r.StatusCode != 201 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
	watch.body = "junk"
	r := s.do(watch)
	if p := wantProblem(t, r, 503); p.Code != "joins" {
		t.Errorf("%+v", p)
	}
	if after, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || after < 1 || after > mostAway {
		t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
	}
	wantProblem(t, s.do(call{method: "POST", path: "/whip/cats", token: token, body: "junk"}.with(sdpBody...)), 400)
}
