package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"siaran"
	"siaran/web/access"
)

// callers are all kinds of callers, in the order of the columns of authorizations.
var callers = []string{
	"nobody", "undefined", "expired", "revoked", "watch", "publish", "other", "all", "admin",
	"ana", "budi", "adm", "disabled", "out", "away",
}

// authorizations is the status that each caller gets, by stream and request. A letter after 401 and 403 stands for the
// reason (see reasons), and i after 200 for ICE servers with credentials. The account ana owns the first two streams.
const authorizations = `
                 nobod undef expir revok watch publi other all   admin ana   budi  adm   disab out   away
public  show     200   200   200   200   200   200   200   200   200   200   200   200   200   200   200
public  keyframe 404   404   404   404   404   404   404   404   404   404   404   404   404   404   404
public  events   200   200   200   200   200   200   200   200   200   200   200   200   200   200   200
public  whep     409   409   409   409   409   409   409   409   409   409   409   409   409   409   409
public  whip     401n  401b  401e  401r  403f  400   403f  400   400   400   403o  400   403d  401s  503
public  whepice  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i
public  whipice  200   200   200   200   200   200i  200   200i  200i  200i  200   200i  200   200   200
public  edit     401n  401b  401e  401r  403f  200   403f  200   200   200   403o  200   403d  401s  503
public  keys     401n  401b  401e  401r  403f  201   403f  201   201   201   403o  201   403d  401s  503
public  viewers  401n  401b  401e  401r  403f  200   403f  200   200   200   403o  200   403d  401s  503
public  kick     401n  401b  401e  401r  403f  404   403f  404   404   404   403o  404   403d  401s  503
public  health   401n  401b  401e  401r  403f  404   403f  404   404   404   403o  404   403d  401s  503
public  end      401n  401b  401e  401r  403f  404   403f  404   404   404   403o  404   403d  401s  503
public  self     401n  401b  401e  401r  200   200   200   200   200   200   200   200   403d  401s  503
private show     401n  401b  401e  401r  200   200   403f  200   200   200   403o  200   403d  401s  503
private keyframe 401n  401b  401e  401r  404   404   403f  404   404   404   403o  404   403d  401s  503
private events   401?  401?  401?  401?  200   200   403?  200   200   200   403?  200   403?  401?  503
private whep     401n  401b  401e  401r  409   409   403f  409   409   409   403o  409   403d  401s  503
private whip     401n  401b  401e  401r  403f  400   403f  400   400   400   403o  400   403d  401s  503
private whepice  200   200   200   200   200i  200i  200   200i  200i  200i  200   200i  200   200   200
private whipice  200   200   200   200   200   200i  200   200i  200i  200i  200   200i  200   200   200
private edit     401n  401b  401e  401r  403f  200   403f  200   200   200   403o  200   403d  401s  503
private keys     401n  401b  401e  401r  403f  201   403f  201   201   201   403o  201   403d  401s  503
private viewers  401n  401b  401e  401r  403f  200   403f  200   200   200   403o  200   403d  401s  503
private kick     401n  401b  401e  401r  403f  404   403f  404   404   404   403o  404   403d  401s  503
private health   401n  401b  401e  401r  403f  404   403f  404   404   404   403o  404   403d  401s  503
private end      401n  401b  401e  401r  403f  404   403f  404   404   404   403o  404   403d  401s  503
private self     401n  401b  401e  401r  200   200   200   200   200   200   200   200   403d  401s  503
keys    show     401n  401b  401e  401r  200   200   403f  200   200   403k  403k  200   403d  401s  503
keys    keyframe 401n  401b  401e  401r  404   404   403f  404   404   403k  403k  404   403d  401s  503
keys    events   401?  401?  401?  401?  200   200   403?  200   200   403?  403?  200   403?  401?  503
keys    whep     401n  401b  401e  401r  409   409   403f  409   409   403k  403k  409   403d  401s  503
keys    whip     401n  401b  401e  401r  403f  400   403f  400   400   403k  403k  400   403d  401s  503
keys    whepice  200   200   200   200   200i  200i  200   200i  200i  200   200   200i  200   200   200
keys    whipice  200   200   200   200   200   200i  200   200i  200i  200   200   200i  200   200   200
keys    edit     401n  401b  401e  401r  403f  200   403f  200   200   403k  403k  200   403d  401s  503
keys    keys     401n  401b  401e  401r  403f  201   403f  201   201   403k  403k  201   403d  401s  503
keys    viewers  401n  401b  401e  401r  403f  200   403f  200   200   403k  403k  200   403d  401s  503
keys    kick     401n  401b  401e  401r  403f  404   403f  404   404   403k  403k  404   403d  401s  503
keys    health   401n  401b  401e  401r  403f  404   403f  404   404   403k  403k  404   403d  401s  503
keys    end      401n  401b  401e  401r  403f  404   403f  404   404   403k  403k  404   403d  401s  503
keys    self     401n  401b  401e  401r  200   200   200   200   200   200   200   200   403d  401s  503
new     show     404   404   404   404   404   404   404   404   404   404   404   404   404   404   404
new     keyframe 404   404   404   404   404   404   404   404   404   404   404   404   404   404   404
new     events   200   200   200   200   200   200   200   200   200   200   200   200   200   200   200
new     whep     409   409   409   409   409   409   409   409   409   409   409   409   409   409   409
new     whip     401n  401b  401e  401r  403f  400   403f  400   400   400   400   400   403d  401s  503
new     whepice  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i  200i
new     whipice  200   200   200   200   200   200i  200   200i  200i  200i  200i  200i  200   200   200
new     edit     401n  401b  401e  401r  403f  200   403f  200   200   200   200   200   403d  401s  503
new     keys     401n  401b  401e  401r  403f  201   403f  201   201   201   201   201   403d  401s  503
new     viewers  401n  401b  401e  401r  403f  200   403f  200   200   200   200   200   403d  401s  503
new     kick     401n  401b  401e  401r  403f  404   403f  404   404   404   404   404   403d  401s  503
new     health   401n  401b  401e  401r  403f  404   403f  404   404   404   404   404   403d  401s  503
new     end      401n  401b  401e  401r  403f  404   403f  404   404   404   404   404   403d  401s  503
new     self     401n  401b  401e  401r  200   200   200   200   200   200   200   200   403d  401s  503
`

var reasons = map[error]string{
	access.ErrNoToken: "n", access.ErrBadToken: "b", access.ErrExpired: "e", access.ErrRevoked: "r",
	access.ErrForbidden: "f", access.ErrKeptByKeys: "k", siaran.ErrNotOwner: "o", access.ErrDisabled: "d",
	access.ErrSignedOut: "s",
}

// callerToken makes a token of one kind for a stream whose key generation is 1.
func (s *site) callerToken(caller, stream string) string {
	key := func(stream string, generation int, scope access.Scope, ttl time.Duration) string {
		c := access.Claims{Stream: stream, KeyGeneration: generation, Scopes: []access.Scope{scope}}
		if ttl != 0 {
			c.Expires = time.Now().Add(ttl)
		}
		return s.token(c)
	}
	generation := 1
	if strings.HasPrefix(stream, "new") {
		generation = 0
	}
	switch caller {
	case "nobody":
		return ""
	case "undefined":
		return "undefined"
	case "expired":
		return key(stream, generation, access.Publish, -time.Hour)
	case "revoked":
		return key(stream, generation+1, access.Publish, 0)
	case "watch", "publish":
		return key(stream, generation, access.Scope(caller), 0)
	case "other":
		return key("other", 0, access.Publish, 0)
	case "all":
		return key(access.AllStreams, 0, access.Publish, 0)
	case "admin":
		return s.admin
	}
	return "account:" + caller + ":1"
}

// told is the outcome of a request as authorizations writes it.
func told(r reply) string {
	text := fmt.Sprint(r.StatusCode)
	if r.StatusCode == 401 || r.StatusCode == 403 {
		text += "?"
		for err, letter := range reasons {
			if strings.Contains(r.body, `"detail":"`+err.Error()+`"`) {
				text = text[:3] + letter
			}
		}
	}
	return text
}

// TestWhoMayDoWhat makes each kind of request, about each kind of stream, as each kind of caller. It also checks that a
// token is verified at most once per request.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	var verifications *countingVerifier
	s := start(t, func(c *Config) {
		verifications = &countingVerifier{TokenVerifier: accounts{c.Secret}}
		c.Tokens = verifications
		c.ICEServers = func(siaran.SessionID, string) []ICEServer {
			return []ICEServer{{URLs: []string{"turn:a"}, Username: "u", Credential: "c"}}
		}
	})
	private, ana := siaran.VisibilityPrivate, "firebase:ana"
	for name, edit := range map[siaran.StreamName]siaran.StreamEdit{
		"public": {Owner: &ana}, "private": {Owner: &ana, Visibility: &private}, "keys": {Visibility: &private},
	} {
		s.must2(s.listing.Edit(t.Context(), name, siaran.StreamEdit{}))
		s.must2(s.listing.Edit(t.Context(), name, edit))
		if edit.Owner == nil {
			s.must2(s.listing.RotateKeys(t.Context(), name))
		}
	}
	viewer := offer(t, "whep-chromium")
	requests := []struct {
		name string
		call call
	}{
		{"show", call{method: "GET", path: "/api/streams/NAME"}},
		{"keyframe", call{method: "GET", path: "/api/streams/NAME/keyframe"}},
		{"events", call{method: "HEAD", path: "/api/streams/events?stream=NAME"}},
		{"whep", call{method: "POST", path: "/whep/NAME", body: viewer}.with(sdpBody...)},
		{"whip", call{method: "POST", path: "/whip/NAME", body: "v=0"}.with(sdpBody...)},
		{"whepice", call{method: "OPTIONS", path: "/whep/NAME"}},
		{"whipice", call{method: "OPTIONS", path: "/whip/NAME"}},
		{"edit", call{method: "PATCH", path: "/api/streams/NAME", body: "{}"}.with(jsonBody...)},
		{"keys", call{method: "POST", path: "/api/streams/NAME/keys", body: `{"scope":"watch"}`}.with(jsonBody...)},
		{"viewers", call{method: "GET", path: "/api/streams/NAME/viewers"}},
		{"kick", call{method: "DELETE", path: "/api/streams/NAME/viewers/x"}},
		{"health", call{method: "GET", path: "/api/streams/NAME/health"}},
		{"end", call{method: "DELETE", path: "/api/streams/NAME/broadcast"}},
		{"self", call{method: "GET", path: "/api/tokens/self"}},
	}
	var got strings.Builder
	fmt.Fprintf(&got, "\n%-8s%-9s", "", "")
	for _, caller := range callers {
		fmt.Fprintf(&got, "%-6.5s", caller)
	}
	n := 0
	for _, stream := range []string{"public", "private", "keys", "new"} {
		for _, request := range requests {
			fmt.Fprintf(&got, "\n%-8s%-9s", stream, request.name)
			for _, caller := range callers {
				name := stream
				if n++; stream == "new" {
					name = fmt.Sprint("new", n)
				}
				c := request.call
				c.path, c.token = strings.Replace(c.path, "NAME", name, 1), s.callerToken(caller, name)
				verifications.n.Store(0)
				r := s.do(c)
				if n := verifications.n.Load(); n > 1 {
					t.Errorf("%s %s by %s: the token is verified %d times", c.method, c.path, caller, n)
				}
				outcome := told(r)
				if link := r.Header.Get("Link"); link != "" {
					outcome += "i"
				}
				fmt.Fprintf(&got, "%-6s", outcome)
				if r.StatusCode == http.StatusUnauthorized {
					want := `Bearer error="invalid_token"`
					if caller == "nobody" {
						want = "Bearer"
					}
					if challenge := r.Header.Get("WWW-Authenticate"); challenge != want {
						t.Errorf("%s %s by %s: WWW-Authenticate: %s", c.method, c.path, caller, challenge)
					}
				}
			}
		}
	}
	if trimmed(got.String()) != trimmed(authorizations) {
		t.Errorf("callers are told\n%s", trimmed(got.String()))
	}
}

// trimmed is a table without spaces at the ends of its lines.
func trimmed(table string) string {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// countingVerifier counts how often tokens are verified.
type countingVerifier struct {
	access.TokenVerifier
	n atomic.Int64
}

func (v *countingVerifier) Verify(ctx context.Context, token string) (access.Claims, error) {
	v.n.Add(1)
	return v.TokenVerifier.Verify(ctx, token)
}

// TestStrangersLearnNothingOfPrivateStreams: the answer is the same to the byte, whether one is live or not.
func TestStrangersLearnNothingOfPrivateStreams(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts)
	s.live("live")
	private := siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate), Title: new("Secret")}
	s.must2(s.listing.Edit(t.Context(), "live", private))
	s.must2(s.listing.Edit(t.Context(), "dark", private))
	for _, token := range []string{"", "undefined", "account:budi:1", s.publisher("other")} {
		for _, c := range []call{
			{method: "GET", path: "/api/streams/NAME"},
			{method: "GET", path: "/api/streams/NAME/keyframe"},
			{method: "GET", path: "/api/streams/NAME/viewers"},
			{method: "GET", path: "/api/streams/events?stream=NAME"},
			call{method: "POST", path: "/whep/NAME", body: offer(t, "whep-chromium")}.with(sdpBody...),
			{method: "GET", path: "/watch/NAME"},
			{method: "GET", path: "/embed/NAME"},
		} {
			var answers []string
			for _, name := range []string{"live", "dark"} {
				asked := c
				asked.path, asked.token = strings.Replace(c.path, "NAME", name, 1), token
				r := s.do(asked)
				r.Header.Del("Date")
				answers = append(answers, fmt.Sprint(r.StatusCode, r.Header, r.body))
			}
			if answers[0] != answers[1] || strings.Contains(answers[0], "Secret") {
				t.Errorf("%s with the token %q: %s\nand %s", c.path, token, answers[0], answers[1])
			}
		}
	}
}
