package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/web/access"
)

var sdpBody = []string{"Content-Type", "application/sdp"}

// TestStatuses goes through everything that can be wrong with a request, and the status that the client gets.
func TestStatuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.live("cats")
	s.live("mine")
	s.must2(s.listing.Edit(t.Context(), "hidden", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}))
	cats := s.publisher("cats")
	watch := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}})
	old := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Publish},
		Expires: time.Now().Add(-time.Hour)})
	void := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Publish}, KeyGeneration: 7})
	viewer := offer(t, "whep-chromium")

	post := func(path, token, body string) call {
		return call{method: "POST", path: path, token: token, body: body}.with(sdpBody...)
	}
	for name, tt := range map[string]struct {
		call   call
		status int
	}{
		"whip no token":      {post("/whip/cats", "", "v=0"), 401},
		"whip bad token":     {post("/whip/cats", "undefined", "v=0"), 401},
		"whip expired token": {post("/whip/cats", old, "v=0"), 401},
		"whip revoked token": {post("/whip/cats", void, "v=0"), 401},
		"whip basic auth": {post("/whip/cats", "", "v=0").with("Content-Type", "application/sdp",
			"Authorization", "Basic YTpi"), 401},
		"whip watch token":               {post("/whip/cats", watch, "v=0"), 403},
		"whip other stream":              {post("/whip/dogs", cats, "v=0"), 403},
		"whip bad name":                  {post("/whip/Cats", s.admin, "v=0"), 404},
		"whip long name":                 {post("/whip/"+strings.Repeat("a", 65), s.admin, "v=0"), 404},
		"whip without name, no token":    {post("/whip", "", "v=0"), 401},
		"whip without name, all streams": {post("/whip", s.admin, "v=0"), 403},
		"whip put":                       {call{method: "PUT", path: "/whip/cats"}, 405},
		"whip patch on endpoint":         {call{method: "PATCH", path: "/whip/cats"}, 405},
		"whip made-up method":            {call{method: "BREW", path: "/whip/cats"}, 405},
		"whip no type":                   {call{method: "POST", path: "/whip/cats", token: cats, body: "v=0"}, 415},
		"whip wrong type":                {post("/whip/cats", cats, "v=0").with("Content-Type", "application/json"), 415},
		"whip no body":                   {post("/whip/cats", cats, ""), 400},
		"whip no sdp":                    {post("/whip/cats", cats, "hello"), 400},
		"whip half sdp":                  {post("/whip/cats", cats, offer(t, "whip-chromium")[:300]), 400},
		"whip too large":                 {post("/whip/cats", cats, strings.Repeat("a", maxOffer+1)), 413},
		"whip recvonly":                  {post("/whip/new", s.publisher("new"), viewer), 422},
		"whip taken":                     {post("/whip/cats", cats, offer(t, "whip-chromium")), 409},
		"whip taken, admin":              {post("/whip/cats", s.admin, offer(t, "whip-chromium")), 409},
		"whip unknown session":           {call{method: "DELETE", path: "/whip/cats/nothing", token: cats}, 404},
		"whip get unknown session":       {call{method: "GET", path: "/whip/cats/nothing"}, 404},
		"whip head unknown session":      {call{method: "HEAD", path: "/whip/cats/nothing"}, 404},
		"whip patch unknown session": {call{method: "PATCH", path: "/whip/cats/nothing"}.with("Content-Type",
			mimeFragment), 404},
		"whip post on session": {post("/whip/cats/nothing", cats, "v=0"), 405},
		"whip below session":   {call{method: "GET", path: "/whip/cats/nothing/more"}, 404},

		"whep bad name":              {post("/whep/Cats", "", viewer), 404},
		"whep bad name, head":        {call{method: "HEAD", path: "/whep/-"}, 404},
		"whep never seen":            {post("/whep/never", "", viewer), 409},
		"whep private, no token":     {post("/whep/hidden", "", viewer), 401},
		"whep private, bad token":    {post("/whep/hidden", "undefined", viewer), 401},
		"whep private, other stream": {post("/whep/hidden", cats, viewer), 403},
		"whep private, not live":     {post("/whep/hidden", s.admin, viewer), 409},
		"whep no type":               {call{method: "POST", path: "/whep/cats", body: viewer}, 415},
		"whep wrong type":            {post("/whep/cats", "", viewer).with("Content-Type", "text/plain"), 415},
		"whep no body":               {post("/whep/cats", "", ""), 400},
		"whep no sdp":                {post("/whep/cats", "", "hello"), 400},
		"whep too large":             {post("/whep/cats", "", strings.Repeat("a", maxOffer+1)), 413},
		"whep sendonly":              {post("/whep/cats", "", offer(t, "whip-chromium")), 422},
		"whep put":                   {call{method: "PUT", path: "/whep/cats"}, 405},
		"whep without name":          {post("/whep", "", viewer), 404},
		"whep unknown session":       {call{method: "DELETE", path: "/whep/cats/nothing"}, 404},
		"whep post on session":       {post("/whep/cats/nothing", "", viewer), 405},

		"whip compressed": {post("/whip/cats", cats, "v=0").with("Content-Type", "application/sdp",
			"Content-Encoding", "gzip"), 415},
		"whip two types": {call{method: "POST", path: "/whip/cats", token: cats, body: "v=0",
			header: http.Header{"Content-Type": {"application/sdp", "text/plain"}}}, 415},
		"whip two tokens": {call{method: "POST", path: "/whip/cats", body: "v=0",
			header: http.Header{"Content-Type": sdpBody[1:], "Authorization": {"Bearer " + cats, "Bearer undefined"}}}, 400},
		"whip reserved name":      {post("/whip/events", s.admin, "v=0"), 404},
		"whip reserved by token":  {post("/whip", s.publisher("events"), "v=0"), 404},
		"whip below session, put": {call{method: "PUT", path: "/whip/cats/nothing/more"}, 404},
		"whip nothing in between": {call{method: "DELETE", path: "/whip//nothing"}, 404},
		"whip escaped slash":      {call{method: "GET", path: "/whip/cats%2fnothing"}, 404},
		"whep reserved name":      {post("/whep/events", "", viewer), 404},
		"api reserved name": {call{method: "PATCH", path: "/api/streams/events", token: s.admin,
			body: "{}"}.with("Content-Type", "application/json"), 404},
		"api below a viewer": {call{method: "DELETE", path: "/api/streams/cats/viewers/x/y", token: cats}, 404},

		"unknown address":    {call{method: "GET", path: "/nothing"}, 404},
		"unknown api":        {call{method: "GET", path: "/api/nothing"}, 404},
		"api method":         {call{method: "DELETE", path: "/api/streams"}, 405},
		"page method":        {call{method: "POST", path: "/"}, 405},
		"page of a bad name": {call{method: "GET", path: "/watch/Cats"}, 404},
		"no such file":       {call{method: "GET", path: "/static/nothing.js"}, 404},
		"outside of files":   {call{method: "GET", path: "/static/..%2fserver.go"}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.do(tt.call.with("Origin", "https://elsewhere.example"))
			p := wantProblem(t, r, tt.status)
			switch {
			case tt.status == 409 && strings.HasPrefix(tt.call.path, "/whep") && r.Header.Get("Retry-After") == "":
				t.Error("no Retry-After")
			case tt.status == 409 && strings.HasPrefix(tt.call.path, "/whip") &&
				!strings.Contains(p.Detail, "end that broadcast first"):
				t.Errorf("not told what to do: %s", p.Detail)
			case tt.status == 415 && r.Header.Get("Accept-Post") != "application/sdp":
				t.Error("no Accept-Post")
			}
		})
	}
	if !strings.Contains(s.do(call{method: "PATCH", path: "/whip/cats"}).Header.Get("Allow"), "POST") {
		t.Error("Allow does not name POST")
	}
}

func (s *site) must2(_ any, err error) {
	s.t.Helper()
	s.must(err)
}

func TestProbesAndOptions(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/whip", "/whip/cats"} {
		for _, method := range []string{"GET", "HEAD"} {
			if r := s.do(call{method: method, path: path}); r.StatusCode != 204 || r.body != "" {
				t.Errorf("%s %s: %d %q", method, path, r.StatusCode, r.body)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		r := s.do(call{method: method, path: "/whep/cats"})
		if r.StatusCode != 200 || r.body != "" || r.Header.Get("Content-Type") != "application/sdp" {
			t.Errorf("%s: %d %q %q", method, r.StatusCode, r.Header.Get("Content-Type"), r.body)
		}
	}
	for path, want := range map[string][2]string{
		"/whip":              {"Accept-Post", "application/sdp"},
		"/whip/cats":         {"Accept-Post", "application/sdp"},
		"/whep/cats":         {"Accept-Post", "application/sdp"},
		"/whip/cats/nothing": {"Accept-Patch", mimeFragment},
		"/whep/cats/nothing": {"Accept-Patch", mimeFragment},
		"/api/streams":       {"Allow", "GET, HEAD, OPTIONS"},
		"/api/streams/cats":  {"Allow", "DELETE, GET, HEAD, OPTIONS, PATCH"},
		"/":                  {"Allow", "GET, HEAD, OPTIONS"},
	} {
		r := s.do(call{method: "OPTIONS", path: path}.with("Origin", "https://elsewhere.example",
			"Access-Control-Request-Method", "PATCH"))
		if r.StatusCode != 200 || r.Header.Get(want[0]) != want[1] || r.Header.Get("Access-Control-Max-Age") == "" ||
			r.Header.Get("Link") != "" {
			t.Errorf("OPTIONS %s: %d %v", path, r.StatusCode, r.Header)
		}
		wantCORS(t, r)
	}
}

// TestSameAddressWrittenOtherwise: an address with a slash at its end, or with unnecessary escapes, is the same.
func TestSameAddressWrittenOtherwise(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.live("cats")
	for path, want := range map[string]int{
		"/whip/cats/": 204, "/whip/": 204, "/whip/c%61ts": 204, "/whep/cats/": 200, "/whep/%63ats/": 200,
		"/api/streams/": 200, "/api/streams/c%61ts/": 200,
		"/watch/cats/": 200, "/studio/": 200, "/static/player%2Ejs": 200, "//": 200,
		"/whip/cats//": 404, "/whip/cats%2f": 404, "/whip/cats%2F/": 404, "/static/": 404,
	} {
		if r := s.do(call{method: "GET", path: path}); r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
	p := s.broadcaster()
	p.mustOpen("/whip/d%6fgs/?x=1", s.publisher("dogs"))
	if !strings.HasPrefix(p.location, "/whip/dogs/") {
		t.Errorf("Location %s", p.location)
	}
	if r := s.do(call{method: "DELETE", path: p.location + "/"}); r.StatusCode != 200 {
		t.Errorf("DELETE: %d", r.StatusCode)
	}
}

// TestTypeOfTheBody: neither parameters nor case matter.
func TestTypeOfTheBody(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, contentType := range []string{"application/sdp", "Application/SDP; charset=utf-8", "application/sdp;",
		"application/sdp; a=1; a=2", " application/sdp ;x"} {
		c := call{method: "POST", path: "/whip/cats", token: s.admin, body: "v=0"}.with("Content-Type", contentType,
			"Content-Encoding", "identity")
		wantProblem(t, s.do(c), 400) // and not 415
	}
}

// TestPreflightOfNothing: a page of another site learns that there is nothing at an address, and not that it may not
// ask.
func TestPreflightOfNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/nothing", "/whip/cats/nothing/more"} {
		c := call{method: "OPTIONS", path: path}.with("Origin", "https://elsewhere.example")
		wantProblem(t, s.do(c), 404)
		r := s.do(c.with("Access-Control-Request-Method", "POST", "Access-Control-Request-Headers",
			"authorization,content-type,if-match"))
		if r.StatusCode != 200 || r.body != "" {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
		wantCORS(t, r)
	}
}

func TestOriginsCanBeNamed(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.AllowedOrigins = []string{"https://good.example"} })
	for origin, want := range map[string]string{"https://good.example": "https://good.example",
		"https://bad.example": "", "": ""} {
		r := s.do(call{method: "GET", path: "/nothing"}.with("Origin", origin))
		if got := r.Header.Get("Access-Control-Allow-Origin"); got != want || r.Header.Get("Vary") != "Origin" {
			t.Errorf("%q: got %q, Vary %q", origin, got, r.Header.Get("Vary"))
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	slow := Rate{PerSecond: 0.01, Burst: 2}
	t.Run("publish, by address", func(t *testing.T) {
		t.Parallel()
		s := start(t, func(c *Config) { c.Limits.Publish = slow })
		c := call{method: "POST", path: "/whip/cats", token: "bad"}.with(sdpBody...)
		wantProblem(t, s.do(c), 401)
		wantProblem(t, s.do(c), 401)
		wantProblem(t, s.do(c), 429)
		wantProblem(t, s.do(call{method: "POST", path: "/whep/cats", body: "x"}.with(sdpBody...)), 409)
	})
	t.Run("publish, by key", func(t *testing.T) {
		t.Parallel()
		s := start(t, func(c *Config) { c.Limits.Key = slow })
		c := call{method: "POST", path: "/whip/cats", token: s.publisher("cats"), body: "x"}.with(sdpBody...)
		wantProblem(t, s.do(c), 400)
		wantProblem(t, s.do(c), 400)
		wantProblem(t, s.do(c), 429)
		c.token = s.publisher("cats")
		wantProblem(t, s.do(c), 400)
	})
	t.Run("changes, by address", func(t *testing.T) {
		t.Parallel()
		s := start(t, func(c *Config) { c.Limits.Address = slow })
		c := call{method: "DELETE", path: "/whep/cats/nothing"}
		wantProblem(t, s.do(c), 404)
		wantProblem(t, s.do(c), 404)
		wantProblem(t, s.do(c), 429)
		wantProblem(t, s.do(call{method: "POST", path: "/api/streams/cats/keys"}), 429)
	})
}

func TestICELinks(t *testing.T) {
	t.Parallel()
	got := iceLinks([]ICEServer{
		{URLs: []string{"stun:192.0.2.1:3478"}},
		{URLs: []string{"turn:live.example:3478?transport=udp", "turns:live.example:5349?transport=tcp"},
			Username: "1:x", Credential: "abc="},
		{URLs: []string{"turn:a b"}, Username: "x", Credential: "y"},
		{URLs: []string{"turn:c"}, Username: "x", Credential: `y"z`},
	})
	const credentials = `; username="1:x"; credential="abc="; credential-type="password"`
	want := []string{
		`<stun:192.0.2.1:3478>; rel="ice-server"`,
		`<turn:live.example:3478?transport=udp>; rel="ice-server"` + credentials,
		`<turns:live.example:5349?transport=tcp>; rel="ice-server"` + credentials,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
