package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/internal/signedpost"
	"siaran/internal/testutil"
	"siaran/web/access"
	"siaran/web/admission"
)

// portal is a site with users of its own: token "ana" is one who may do everything, "zoe" one who may do nothing. It
// lets in everybody who comes without such a token, except to the stream "closed".
type portal struct {
	mu    sync.Mutex
	away  bool
	asked []admission.Question
}

func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q admission.Question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, q)
	switch {
	case p.away:
		w.WriteHeader(http.StatusInternalServerError)
	case q.Token == "ana":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"user": "u1", "name": "Ana"}`)
	case q.Token != "" || q.Stream == "closed":
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"detail": "Zoe owes us money."}`)
	}
}

// questions returns what has been asked since the last call.
func (p *portal) questions() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.asked {
		list = append(list, fmt.Sprintf("%s %s %s%s", q.Action, q.Stream, q.Subject, q.Token))
	}
	p.asked = nil
	return list
}

func startWithSite(t *testing.T, change ...func(*Config)) (*site, *portal) {
	t.Helper()
	p := &portal{}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	u, err := signedpost.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	hook := admission.New(admission.Config{URL: u, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(hook.Close)
	return start(t, append(change, func(c *Config) { c.Admission = hook })...), p
}

// TestTheSiteDecidesToo makes requests as many kinds of callers. A status with ! is one about which the site was asked.
func TestTheSiteDecidesToo(t *testing.T) {
	t.Parallel()
	const table = `
               nobody ana    zoe    expir  watch  publi  admin
public  whep   409!   409!   403!   409!   409!   409!   409!
public  show   200    200    200    200    200    200    200
public  whip   401    400!   403!   401    403    400!   400!
private whep   401    409!   403!   401    409!   409!   409!
private show   401    200!   403!   401    200    200    200
private whip   401    400!   403!   401    403    400!   400!
private edit   401    401    401    401    403    200    200
closed  whep   403!   409!   403!   403!   403!   403!   403!
closed  whip   401    400!   403!   401    403    403!   403!
owned   whip   401    403!   403!   401    403    400!   400!
`
	s, p := startWithSite(t)
	private, ana := siaran.VisibilityPrivate, "firebase:ana"
	for name, edit := range map[siaran.StreamName]siaran.StreamEdit{
		"public": {}, "private": {Visibility: &private}, "closed": {}, "owned": {},
	} {
		s.must2(s.listing.Edit(t.Context(), name, siaran.StreamEdit{}))
		s.must2(s.listing.RotateKeys(t.Context(), name))
		s.must2(s.listing.Edit(t.Context(), name, edit))
	}
	s.must2(s.listing.Edit(t.Context(), "owned", siaran.StreamEdit{Owner: &ana}))
	rows := strings.Split(strings.TrimSpace(table), "\n")
	for _, row := range rows[1:] {
		fields := strings.Fields(row)
		stream, request := fields[0], fields[1]
		c := map[string]call{
			"whep": call{method: "POST", path: "/whep/NAME", body: offer(t, "whep-chromium")}.with(sdpBody...),
			"whip": call{method: "POST", path: "/whip/NAME", body: "v=0"}.with(sdpBody...),
			"show": {method: "GET", path: "/api/streams/NAME"},
			"edit": call{method: "PATCH", path: "/api/streams/NAME", body: "{}"}.with(jsonBody...),
		}[request]
		for i, caller := range []string{"nobody", "ana", "zoe", "expired", "watch", "publish", "admin"} {
			asked := c
			asked.path = strings.Replace(c.path, "NAME", stream, 1)
			if asked.token = caller; caller != "ana" && caller != "zoe" {
				asked.token = s.callerToken(caller, stream)
			}
			if stream == "owned" && caller == "publish" {
				asked.token = s.token(access.Claims{Stream: stream, Scopes: []access.Scope{access.Publish}, KeyGeneration: 2})
			}
			asked = asked.with("User-Agent", fmt.Sprint(caller, row)) // so that no answer is that to another
			r := s.do(asked)
			got := fmt.Sprint(r.StatusCode)
			if len(p.questions()) > 0 {
				got += "!"
			}
			if got != fields[i+2] {
				t.Errorf("%s %s by %s: %s, want %s: %s", stream, request, caller, got, fields[i+2], r.body)
			}
			if caller == "zoe" && r.StatusCode == 403 {
				if told := wantProblem(t, r, 403); told.Detail != "Zoe owes us money." || told.Code != "refused-by-site" {
					t.Errorf("%+v", told)
				}
			}
		}
	}
}

// TestUsersOfTheSite broadcast and watch with tokens of the site, and change and end their sessions with them.
func TestUsersOfTheSite(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		s, p := startWithSite(t, func(c *Config) { c.StrictSessionAuth = strict })
		b := s.onAir("cats", "ana")
		s.edit("cats", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)})
		v := s.viewer()
		v.mustOpen("/whep/cats", "ana")
		testutil.Eventually(t, "the viewer has the site's name for her", func() bool {
			r := s.do(call{method: "GET", path: "/api/streams/cats/viewers", token: s.admin})
			return strings.Contains(r.body, `"name":"Ana"`)
		})
		if state := b.state("cats"); state.Owner != "site:u1" {
			t.Errorf("%+v", state)
		}
		for _, peer := range []*peer{v, b} {
			wantProblem(t, s.do(call{method: "DELETE", path: peer.location, token: s.publisher("dogs")}), 403)
			if strict {
				wantProblem(t, s.do(call{method: "DELETE", path: peer.location, token: "zoe"}), 403)
			}
			if r := s.do(call{method: "DELETE", path: peer.location, token: "ana"}); r.StatusCode != http.StatusOK {
				t.Error(r.StatusCode, r.body)
			}
		}
		for _, q := range p.questions() {
			if strings.Contains(q, s.admin) {
				t.Error("the site has got a token of ours")
			}
		}
		if strings.Contains(s.log.String(), "=ana") {
			t.Error("the log has a token of the site")
		}
	}
}

func (p *peer) state(stream siaran.StreamName) siaran.BroadcastState {
	p.site.t.Helper()
	b, err := p.site.hub.Broadcast(stream)
	p.site.must(err)
	return b.State()
}

// TestSiteThatIsAway: nobody comes in, or, if the operator prefers that, who may by our own rules.
func TestSiteThatIsAway(t *testing.T) {
	t.Parallel()
	for _, open := range []bool{false, true} {
		s, p := startWithSite(t, func(c *Config) { c.AdmissionOpen = open })
		p.away = true
		closedOr := map[bool]int{false: 503, true: 409}[open]
		for token, want := range map[string]int{"": closedOr, s.publisher("cats"): closedOr, "ana": 503} {
			r := s.do(call{
				method: "POST", path: "/whep/cats", token: token, body: offer(t, "whep-chromium"),
			}.with(sdpBody...))
			if r.StatusCode != want {
				t.Errorf("%d %s, want %d", r.StatusCode, r.body, want)
			}
			if want == 503 {
				wantProblem(t, r, 503)
			}
		}
		wantProblem(t, s.do(call{method: "POST", path: "/whip/cats", token: "ana", body: "v=0"}.with(sdpBody...)), 503)
	}
}

// TestStrangersDoNotFloodTheSite: guessing tokens from one address soon asks nothing any more, and it cannot use up
// what holders of our tokens need.
func TestStrangersDoNotFloodTheSite(t *testing.T) {
	t.Parallel()
	slow := Rate{0.001, 20}
	s, p := startWithSite(t, func(c *Config) { c.Limits.Asks = slow })
	guess := func(i int) int {
		return s.do(call{method: "POST", path: "/whip/cats", token: fmt.Sprint("guess", i), body: "v=0"}.with(sdpBody...)).
			StatusCode
	}
	refused := 0
	for i := range 100 {
		if guess(i) == http.StatusTooManyRequests {
			refused++
		}
	}
	if n := len(p.questions()); n > 21 || refused < 79 {
		t.Errorf("asked %d times, %d refused", n, refused)
	}
	r := s.do(call{method: "POST", path: "/whip/cats", token: s.publisher("cats"), body: "v=0"}.with(sdpBody...))
	if r.StatusCode != http.StatusBadRequest {
		t.Error(r.StatusCode, r.body)
	}
	s, p = startWithSite(t, func(c *Config) { c.Limits.Ask = slow })
	for i := range 100 {
		guess(i)
	}
	if n := len(p.questions()); n > 21 {
		t.Errorf("asked %d times from one address", n)
	}
}

// verdicts is a site whose answer about sessions that run changes.
type verdicts struct {
	mu    sync.Mutex
	first admission.Verdict
	again admission.Verdict
	err   error // to questions that are asked again
	asked int   // again
}

func (v *verdicts) Ask(_ context.Context, q admission.Question, _ func() error) (admission.Verdict, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !q.Again {
		return v.first, nil
	}
	v.asked++
	return v.again, v.err
}

func (v *verdicts) set(again admission.Verdict, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.again, v.err = again, err
}

func (v *verdicts) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

func startWithVerdicts(t *testing.T, first admission.Verdict, change ...func(*Config)) (*site, *verdicts) {
	t.Helper()
	v := &verdicts{first: first, again: admission.Verdict{Until: time.Now()}}
	often := func(s *Server) { s.lookEvery = 20 * time.Millisecond }
	return startTweaked(t, often, append(change, func(c *Config) { c.Admission = v })...), v
}

// TestTheSiteIsAskedAgain: sessions go on while the site says so, and end when it does not any more.
func TestTheSiteIsAskedAgain(t *testing.T) {
	t.Parallel()
	s, v := startWithVerdicts(t, admission.Verdict{Until: time.Now()})
	b := s.onAir("cats", s.publisher("cats"))
	w := s.viewer()
	w.mustOpen("/whep/cats", "")
	before := v.count()
	testutil.Eventually(t, "the site is asked about both again and again", func() bool { return v.count() > before+10 })
	v.set(admission.Verdict{}, fmt.Errorf("%w: it is away", admission.ErrNoAnswer))
	before = v.count()
	testutil.Eventually(t, "the site is asked while it is away", func() bool { return v.count() > before+10 })
	if !s.there(b) || !s.there(w) {
		t.Error("sessions ended although the site has not refused them")
	}
	v.set(admission.Verdict{}, &admission.Refusal{})
	testutil.Eventually(t, "both sessions end", func() bool { return !s.there(b) && !s.there(w) })
}

// TestAskedNoMore: a site that sets no further time is left alone.
func TestAskedNoMore(t *testing.T) {
	r := newRights(Config{})
	old := &siteRight{until: time.Now()}
	r.opened(access.Watch, "s", grant{stream: siaran.Stream{Name: "cats"}, site: old})
	r.opened(access.Publish, "", grant{stream: siaran.Stream{Name: "cats"}, site: old})
	list := r.due(time.Now())
	if len(list) != 2 {
		t.Fatal(list)
	}
	for _, l := range list {
		r.readmitted(l, &siteRight{})
	}
	if list := r.due(time.Now().Add(time.Hour)); len(list) != 0 {
		t.Error(list)
	}
}

// TestLimitedTime: a session ends when the site's limit for it is over, without another question.
func TestLimitedTime(t *testing.T) {
	t.Parallel()
	s, v := startWithVerdicts(t, admission.Verdict{Most: time.Millisecond})
	w := s.viewer()
	s.live("cats")
	w.mustOpen("/whep/cats", "")
	testutil.Eventually(t, "the viewer's session ends", func() bool { return !s.there(w) })
	s.withdrawn()
	if v.count() != 0 {
		t.Errorf("asked %d times", v.count())
	}
}
