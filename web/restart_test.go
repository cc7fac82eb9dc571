package web

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"siaran/internal/sdp"
)

// restarting is a session whose ICE credentials the test changes.
type restarting struct {
	*peer
	answer     string
	ufrag, pwd string // the client's
}

// restartOn opens a session on one side of a stream that is live.
func restartOn(t *testing.T, side string, change ...func(*Config)) *restarting {
	s := start(t, change...)
	p := s.onAir("cats", s.publisher("cats"))
	if side == "whep" {
		p = s.viewer()
		p.mustOpen("/whep/cats", "")
	}
	return &restarting{p, p.pc.CurrentRemoteDescription().SDP, p.offerValue("ice-ufrag"), p.offerValue("ice-pwd")}
}

// patch sends a fragment as whip-whep-js does: credentials at session level, no section, no candidates.
func (r *restarting) patch(match, ufrag, pwd string) reply {
	c := call{method: "PATCH", path: r.location, body: "a=ice-ufrag:" + ufrag + "\r\na=ice-pwd:" + pwd + "\r\n"}
	c = c.with("Content-Type", mimeFragment)
	if match != "" {
		c = c.with("If-Match", match)
	}
	return r.site.do(c)
}

// TestRestartMatrix has each kind of If-Match with each kind of credentials, for sessions that run and that have ended
// (RFC 9725 section 4.3).
func TestRestartMatrix(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"whip", "whep"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			r := restartOn(t, side)
			old := `"old"`
			for _, running := range []bool{true, false} {
				if !running {
					if ended := r.site.do(call{method: "DELETE", path: r.location}); ended.StatusCode != 200 {
						t.Fatal(ended.StatusCode)
					}
				}
				for _, c := range []struct {
					match             string
					same, fresh, half int
				}{
					{"", 428, 428, 400},
					{"*", 204, 200, 400},
					{`"*"`, 204, 200, 400},
					{"current", 204, 200, 400},
					{"old", 412, 412, 400},
					{"weak", 412, 412, 400},
				} {
					for kind, want := range map[string]int{"same": c.same, "new": c.fresh, "half": c.half} {
						if !running {
							want = 404
						}
						match := strings.NewReplacer("current", r.tag, "old", old, "weak", "W/"+r.tag).Replace(c.match)
						before := r.tag
						if got := r.send(t, match, kind); got != want {
							t.Errorf("running %t, If-Match %s, %s credentials: status %d, want %d", running, c.match, kind, got, want)
						}
						if r.tag != before {
							old = before
						}
					}
				}
			}
		})
	}
}

// send sends a PATCH and returns its status. It checks what the client is told of a restart.
func (r *restarting) send(t *testing.T, match, kind string) int {
	t.Helper()
	ufrag, pwd := r.ufrag, r.pwd
	if kind != "same" {
		ufrag = sdp.RandomText(8)
	}
	if kind == "new" {
		pwd = sdp.RandomText(24)
	}
	got := r.patch(match, ufrag, pwd)
	tag := got.Header.Get("ETag")
	if got.StatusCode != http.StatusOK {
		if tag != "" {
			t.Errorf("status %d comes with the tag %s", got.StatusCode, tag)
		}
		return got.StatusCode
	}
	if tag == r.tag || len(tag) < 3 || tag[0] != '"' {
		t.Errorf("the tag after %s is %s", r.tag, tag)
	}
	r.wantAnswer(t, got)
	r.ufrag, r.pwd, r.tag = ufrag, pwd, tag
	if probe := r.site.do(call{method: "GET", path: r.location}); probe.Header.Get("ETag") != tag {
		t.Errorf("the session's tag is %s, the restart's %s", probe.Header.Get("ETag"), tag)
	}
	return got.StatusCode
}

// wantAnswer checks the fragment that answers a restart, against the first answer.
func (r *restarting) wantAnswer(t *testing.T, got reply) {
	t.Helper()
	if kind := got.Header.Get("Content-Type"); kind != mimeFragment {
		t.Errorf("Content-Type is %s", kind)
	}
	if strings.Contains(strings.ReplaceAll(got.body, "\r\n", ""), "\n") || !strings.HasSuffix(got.body, "\r\n") {
		t.Errorf("lines do not end in CRLF: %q", got.body)
	}
	f, err := sdp.ParseFragment([]byte(got.body))
	if err != nil || f.Ufrag == "" || f.Password == "" || !f.End || len(f.Candidates) == 0 {
		t.Errorf("%+v, %v", f, err)
	}
	for line := range strings.SplitSeq(r.answer, "\r\n") {
		key, _, _ := strings.Cut(line, ":")
		switch key {
		case "a=ice-lite", "a=ice-options", "a=group", "a=candidate", "a=end-of-candidates":
			if !strings.Contains(got.body, line+"\r\n") {
				t.Errorf("%q is not in the fragment %q", line, got.body)
			}
		case "a=ice-ufrag", "a=ice-pwd":
			if strings.Contains(got.body, line+"\r\n") {
				t.Errorf("%q is still what it was", line)
			}
		}
	}
}

// TestTrickleAfterRestart: candidates that name the tag before are refused, those with the new one taken.
func TestTrickleAfterRestart(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"whip", "whep"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			r := restartOn(t, side)
			first := r.tag
			if got := r.send(t, first, "new"); got != 200 {
				t.Fatal(got)
			}
			if got := r.send(t, first, "same"); got != 412 {
				t.Errorf("the tag before gives %d", got)
			}
			if got := r.send(t, r.tag, "same"); got != 204 {
				t.Errorf("the new tag gives %d", got)
			}
		})
	}
}

// TestRestartsAtOnce: of many restarts that name one tag, one succeeds; a star goes with whatever is current. A flood
// is refused, with the time to wait.
func TestRestartsAtOnce(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"whip", "whep"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			r := restartOn(t, side)
			var all sync.WaitGroup
			var restarted, stale, limited, other atomic.Int32
			for range 40 {
				all.Go(func() {
					got := r.patch(r.tag, sdp.RandomText(8), sdp.RandomText(24))
					switch got.StatusCode {
					case 200:
						restarted.Add(1)
					case 412:
						stale.Add(1)
					case 429:
						if got.Header.Get("Retry-After") != "2" {
							other.Add(1)
						}
						limited.Add(1)
					default:
						other.Add(1)
					}
				})
			}
			all.Wait()
			if restarted.Load() != 1 || other.Load() != 0 || stale.Load() == 0 {
				t.Errorf("%d restarts, %d refused as stale, %d as too many, %d otherwise", restarted.Load(), stale.Load(),
					limited.Load(), other.Load())
			}
			for range 40 {
				all.Go(func() {
					if r.patch("*", sdp.RandomText(8), sdp.RandomText(24)).StatusCode == 429 {
						limited.Add(1)
					}
				})
			}
			all.Wait()
			if limited.Load() < 20 {
				t.Errorf("only %d of 80 restarts were refused", limited.Load())
			}
		})
	}
}

// TestDeleteIgnoresIfMatch whatever it says (RFC 9725 section 4.3.1).
func TestDeleteIgnoresIfMatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	cats := s.publisher("cats")
	s.onAir("cats", cats)
	for _, match := range []string{`"old"`, "*", "junk"} {
		v := s.viewer()
		v.mustOpen("/whep/cats", "")
		for _, want := range []int{200, 404} {
			if r := s.do(call{method: "DELETE", path: v.location}.with("If-Match", match)); r.StatusCode != want {
				t.Errorf("If-Match %s: %d, want %d", match, r.StatusCode, want)
			}
		}
	}
}
