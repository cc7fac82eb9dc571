package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"siaran"
	"siaran/web/access"
)

// operation is one that is described.
type operation struct {
	node
	method, path string // such as /api/streams/{stream}
}

func (o operation) String() string { return o.method + " " + o.path }

func (c *contract) operations() (list []operation) {
	paths, items := c.root().under("paths").each()
	for i, path := range paths {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if op := items[i].under(strings.ToLower(method)); op.value != nil {
				list = append(list, operation{op, method, path})
			}
		}
	}
	return list
}

// TestOpenAPI: the description is a valid one, and it has the same addresses and methods as the server.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	c := theContract()
	text, err := os.Open("testdata/openapi-3.1/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	schema, err := jsonschema.UnmarshalJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi-3.1", schema); err != nil {
		t.Fatal(err)
	}
	if err := compiler.MustCompile("openapi-3.1").Validate(c.doc); err != nil {
		t.Error(err)
	}
	used := make(map[string]bool)
	c.root().walk(func(n node) {
		under := n.at[:max(0, strings.LastIndex(n.at, "/"))]
		if strings.HasSuffix(n.at, "/schema") || under == "/components/schemas" {
			if _, err := n.schema(); err != nil {
				t.Errorf("%s: %v", n.at, err)
			}
		}
		if ref, ok := n.field("$ref").(string); ok {
			used[strings.TrimPrefix(ref, "#")] = true
			if c.root().under(strings.Split(ref, "/")[1:]...).value == nil {
				t.Errorf("%s refers to %s, which is not there", n.at, ref)
			}
		}
	})
	kinds, components := c.root().under("components").each()
	for i, kind := range kinds {
		names, _ := components[i].each()
		for _, name := range names {
			if kind != "securitySchemes" && !used["/components/"+kind+"/"+name] {
				t.Errorf("nothing uses the %s %s", kind, name)
			}
		}
	}

	s := start(t)
	var written, served []string
	for _, op := range c.operations() {
		written = append(written, op.String())
		for _, p := range c.parameters(op.node, op.path) {
			if p.field("in") == "path" && !strings.Contains(op.path, "{"+p.field("name").(string)+"}") {
				t.Errorf("%s %s has no parameter %s", op.method, op.path, p.field("name"))
			}
		}
	}
	for _, route := range s.server.echo.Routes() {
		path := regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.Path, "{$1}")
		if route.Method != "OPTIONS" && route.Method != "HEAD" && !isPage(path) {
			served = append(served, route.Method+" "+path)
		}
	}
	slices.Sort(written)
	slices.Sort(served)
	if !slices.Equal(written, served) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(written, "\n"), strings.Join(served, "\n"))
	}
}

// walk calls f for every part of the document, without following references.
func (n node) walk(f func(node)) {
	f(n)
	switch v := n.value.(type) {
	case map[string]any:
		for key, value := range v {
			node{n.c, n.at + "/" + pointerEscapes.Replace(key), value}.walk(f)
		}
	case []any:
		for i, value := range v {
			node{n.c, fmt.Sprint(n.at, "/", i), value}.walk(f)
		}
	}
}

// everything is a server at which every operation can be tried: "cats" is live, and there is a session of each kind.
type everything struct {
	*site
	sessions map[string]string // by the first part of the path: the session's address
	events   string            // an event stream of the viewer's session
}

func startEverything(t *testing.T, change ...func(*Config)) *everything {
	t.Helper()
	return everythingAt(start(t, change...))
}

func everythingAt(s *site) *everything {
	t := s.t
	t.Helper()
	e := &everything{site: s, sessions: make(map[string]string)}
	open := func(path, token, body string) string {
		r := e.do(call{method: "POST", path: path, token: token, body: body}.with(sdpBody...))
		if r.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, r.StatusCode, r.body)
		}
		return r.Header.Get("Location")
	}
	e.live("cats")
	e.sessions["whip"] = open("/whip/dogs", e.admin, offer(t, "whip-chromium"))
	e.sessions["whep"] = open("/whep/cats", e.admin, offer(t, "whep-chromium"))
	e.events = e.do(call{method: "POST", path: e.sessions["whep"] + "/events", token: e.admin}).Header.Get("Location")
	return e
}

// call is a right request for an operation, from the administrator. Where the answer would be events for ever, it is
// HEAD.
func (e *everything) call(op operation) call {
	protocol := strings.Split(op.path, "/")[1]
	path := strings.NewReplacer(
		"/"+protocol+"/{stream}/{session}/events/{events}", e.events,
		"/"+protocol+"/{stream}/{session}", e.sessions[protocol],
		"{stream}", "cats", "{viewer}", "nobody",
	).Replace(op.path)
	c := call{method: op.method, path: path, token: e.admin}
	if path == "/whip" {
		c.token = e.publisher("cows")
	}
	if op.under("responses", "200", "content", mimeEvents).value != nil {
		c.method = http.MethodHead
	}
	kinds, contents := op.under("requestBody", "content").each()
	switch {
	case len(kinds) == 0:
		return c
	case kinds[0] == mimeSDP:
		c.body = offer(e.t, protocol+"-chromium")
	case kinds[0] == mimeFragment:
		c.body = "a=end-of-candidates\r\n"
		c = c.with("If-Match", "*")
	case contents[0].under("schema").field("type") == "array":
		c.body = `["active"]`
	case contents[0].under("schema", "properties", "revoke").value != nil:
		c.body = `{"revoke": false}` // the tokens are needed again
	default:
		c.body = "{}"
	}
	return c.with("Content-Type", kinds[0])
}

// TestWhoMay: an operation asks for the token that is described.
func TestWhoMay(t *testing.T) {
	t.Parallel()
	e := startEverything(t)
	token := func(stream string, scope access.Scope) string {
		return e.token(access.Claims{Stream: stream, Scopes: []access.Scope{scope}})
	}
	for _, op := range theContract().operations() {
		if strings.Contains(op.path, "{session}") {
			continue // see TestStrictSessions
		}
		_, ways := op.under("security").each()
		open, scope := len(ways) == 0, ""
		for _, way := range ways {
			names, scopes := way.each()
			open = open || len(names) == 0
			for _, list := range scopes {
				for _, name := range list.value.([]any) {
					scope = name.(string)
				}
			}
		}
		try := func(what, token string, refused bool) {
			t.Helper()
			c := e.call(op)
			c.token = token
			if r := e.do(c); (r.StatusCode == 401 || r.StatusCode == 403) != refused {
				t.Errorf("%s %s: %d %s", op, what, r.StatusCode, r.body)
			}
		}
		try("without a token", "", !open)
		if scope != "" && !open {
			try("to watch", token("cats", access.Watch), true)
			if op.path != "/whip" {
				try("to publish another one", token("cows", access.Publish), true)
			}
			if own := op.path == "/whip" || op.method+op.path == "DELETE/api/streams/{stream}"; !own {
				try("to publish", token("cats", access.Publish), scope != "publish")
			}
		}
	}
}

// failing is a listing that can be made to fail, as that of an edge does.
type failing struct {
	siaran.Listing
	with *atomic.Pointer[error]
}

func (f failing) err() error {
	if err := f.with.Load(); err != nil {
		return *err
	}
	return nil
}

// read is err for what reads the database.
func (f failing) read() error {
	if err := f.err(); !errors.Is(err, siaran.ErrAbove) {
		return err
	}
	return nil
}

func (f failing) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	if err := f.read(); err != nil {
		return siaran.Stream{}, err
	}
	return f.Listing.Stream(ctx, name)
}

func (f failing) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	if err := f.read(); err != nil && !errors.Is(err, siaran.ErrLoop) {
		return nil, err
	}
	return f.Listing.Streams(ctx, q)
}

func (f failing) Viewers(ctx context.Context, name siaran.StreamName) ([]siaran.ViewerRecord, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Listing.Viewers(ctx, name)
}

func (f failing) Edit(ctx context.Context, name siaran.StreamName, e siaran.StreamEdit) (siaran.Stream, error) {
	if err := f.err(); err != nil {
		return siaran.Stream{}, err
	}
	return f.Listing.Edit(ctx, name, e)
}

func (f failing) RotateKeys(ctx context.Context, name siaran.StreamName) (int, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.Listing.RotateKeys(ctx, name)
}

func (f failing) Delete(ctx context.Context, name siaran.StreamName) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Listing.Delete(ctx, name)
}

func (f failing) Claim(ctx context.Context, name siaran.StreamName, node, owner string, most int) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Listing.Claim(ctx, name, node, owner, most)
}

// TestAnswersInTrouble gives every operation each kind of trouble. That the answers are as described is checked by the
// client.
func TestAnswersInTrouble(t *testing.T) {
	t.Parallel()
	operations := theContract().operations()
	t.Run("two tokens", func(t *testing.T) {
		t.Parallel()
		e := startEverything(t)
		for _, op := range operations {
			c := e.call(op)
			c.token, c.header = "", http.Header{"Authorization": {"Bearer a", "Bearer b"}}
			wantProblem(t, e.do(c), 400)
		}
	})
	t.Run("too often", func(t *testing.T) {
		t.Parallel()
		few := Rate{0.001, 5}
		e := startEverything(t, func(c *Config) {
			c.Limits.Publish, c.Limits.Watch, c.Limits.Session, c.Limits.Address = few, few, few, few
			c.Limits.ICE, c.Limits.Picture, c.Limits.List = few, few, few
		})
		for _, op := range operations {
			for range few.Burst + 1 {
				e.do(e.call(op))
			}
		}
	})
	for name, err := range map[string]error{
		"no listing": errors.New("away"), "no parent": siaran.ErrParent, "of the parent": siaran.ErrAbove,
		"in a circle": siaran.ErrLoop,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var with atomic.Pointer[error]
			e := startEverything(t, func(c *Config) { c.Listing = failing{c.Listing, &with} })
			with.Store(&err)
			defer with.Store(nil) // so that the server can end
			for _, op := range operations {
				c := e.call(op)
				e.do(c)
				c.path = strings.Replace(c.path, "/cats", "/others", 1)
				c.body = strings.Replace(c.body, "false", "true", 1)
				if op.path == "/api/streams/events" {
					c.path += "?stream=others"
				}
				e.do(c)
			}
		})
	}
	t.Run("dear", func(t *testing.T) {
		t.Parallel()
		s, _ := startMetered(t)
		e := everythingAt(s)
		for range 20 {
			for _, op := range operations {
				c := e.call(op)
				c.token = "account:ana:1"
				e.do(c)
			}
		}
	})
	t.Run("slowly", func(t *testing.T) {
		t.Parallel()
		e := everythingAt(startTweaked(t, func(s *Server) {
			s.http.ReadTimeout, s.bodyTime = 5*time.Second, 5*time.Second
		}))
		var asked sync.WaitGroup
		for _, op := range operations {
			if op.under("requestBody").value == nil {
				continue
			}
			c := e.call(op)
			body, rest := io.Pipe()
			r, err := http.NewRequestWithContext(t.Context(), c.method, e.url+c.path, body)
			e.must(err)
			r.Header, r.ContentLength = c.header, 100
			r.Header.Set("Authorization", "Bearer "+c.token)
			asked.Go(func() {
				defer rest.Close()
				res, err := e.client.Do(r)
				if err != nil {
					t.Errorf("%s: %v", op, err)
				} else if res.Body.Close(); res.StatusCode != 408 {
					t.Errorf("%s: %d", op, res.StatusCode)
				}
			})
		}
		asked.Wait()
	})
	t.Run("not possible", func(t *testing.T) {
		t.Parallel()
		e := startEverything(t)
		e.viewer().mustOpen("/whep/cats", "")
		path := "/api/streams/cats/viewers/" + e.onlyViewer("cats", e.admin) + "?ban=broadcast"
		wantProblem(t, e.do(call{method: "DELETE", path: path, token: e.admin}), 409)
		own := call{method: "POST", path: "/whip", token: e.publisher("cows"), body: offer(t, "whep-chromium")}
		wantProblem(t, e.do(own.with(sdpBody...)), 422)
		own.token, own.body = e.publisher("dogs"), offer(t, "whip-chromium")
		wantProblem(t, e.do(own.with(sdpBody...)), 409)
	})
	t.Run("at the end", func(t *testing.T) {
		t.Parallel()
		e := startEverything(t)
		e.server.Leave()
		for _, op := range operations {
			e.do(e.call(op))
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		t.Parallel()
		e := startEverything(t)
		for _, op := range operations {
			for _, name := range []string{"-", "others"} {
				c := e.call(op)
				c.path = strings.NewReplacer("{stream}", name, "{session}", "x", "{events}", "x", "{viewer}", "x").
					Replace(op.path)
				e.do(c)
			}
		}
	})
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		e := startEverything(t, func(c *Config) { c.StrictSessionAuth = true })
		for _, op := range operations {
			for _, token := range []string{"", e.publisher("others")} {
				c := e.call(op)
				c.token = token
				e.do(c)
			}
		}
	})
	t.Run("bodies", func(t *testing.T) {
		t.Parallel()
		e := startEverything(t)
		for _, op := range operations {
			if op.under("requestBody").value == nil {
				continue
			}
			c := e.call(op)
			wantProblem(t, e.do(c.with("Content-Type", "text/plain")), 415)
			wantProblem(t, e.do(c.with("Content-Encoding", "gzip")), 415)
			c.body = strings.Repeat(" ", maxOffer+1)
			wantProblem(t, e.do(c), 413)
			c.body = "?"
			wantProblem(t, e.do(c), 400)
		}
	})
}

// TestBodiesThatAreForbidden: whatever a schema forbids in a body of JSON is refused, in words that name it, and
// changes nothing.
func TestBodiesThatAreForbidden(t *testing.T) {
	t.Parallel()
	e := startEverything(t)
	state := func() string {
		stream := e.do(call{method: "GET", path: "/api/streams/cats", token: e.admin}).body
		layers := e.do(call{method: "GET", path: e.sessions["whep"] + "/layers", token: e.admin})
		return stream + layers.body + fmt.Sprint(layers.StatusCode)
	}
	before, tried := state(), 0
	for _, op := range theContract().operations() {
		schema := op.under("requestBody", "content", "application/json", "schema")
		if schema.value == nil {
			continue
		}
		try := func(value any, names string) {
			t.Helper()
			text, err := json.Marshal(value)
			e.must(err)
			if schema.check(value) == nil {
				t.Errorf("%s: the schema allows %.80s", op, text)
			}
			c := e.call(op)
			c.body = string(text)
			r := e.do(c)
			if r.StatusCode != 400 && r.StatusCode != 422 {
				t.Errorf("%s %.80s: %d %s", op, text, r.StatusCode, r.body)
			} else if p := wantProblem(t, r, r.StatusCode); !strings.Contains(p.Detail, names) {
				t.Errorf("%s %.80s: %q does not name %s", op, text, p.Detail, names)
			}
			tried++
		}
		try(nil, "")
		for _, value := range schema.forbidden() {
			try(value, "")
		}
		names, members := schema.under("properties").each()
		for i, member := range members {
			for _, value := range member.forbidden() {
				try(map[string]any{names[i]: value}, names[i])
			}
		}
		for _, text := range []string{"", " ", "{", "[", "{}}", `{"a":1,}`, "{\"\xff", strings.Repeat("[", 12000)} {
			if text == "" && op.under("requestBody").field("required") != true {
				continue
			}
			c := e.call(op)
			c.body = text
			wantProblem(t, e.do(c), 400)
		}
	}
	if tried < 50 {
		t.Errorf("only %d bodies were tried", tried)
	}
	if after := state(); after != before {
		t.Errorf("it is now\n%s\nand was\n%s", after, before)
	}
	for _, session := range e.sessions {
		if r := e.do(call{method: "GET", path: session, token: e.admin}); r.StatusCode != 204 {
			t.Errorf("a session has ended: %d", r.StatusCode)
		}
	}
}

// forbidden are values that a schema forbids, each for one reason.
func (n node) forbidden() (list []any) {
	number := func(name string) (int, bool) {
		text, ok := n.field(name).(json.Number)
		i, err := strconv.Atoi(text.String())
		return i, ok && err == nil
	}
	if n.field("enum") != nil {
		list = append(list, "no such value", "", 1, true, []any{}, map[string]any{})
	}
	switch n.field("type") {
	case "string":
		list = append(list, 1, true, []any{}, map[string]any{})
	case "integer":
		list = append(list, "1", 1.5, true, []any{}, map[string]any{})
	case "number":
		list = append(list, "1", true, []any{}, map[string]any{})
	case "boolean":
		list = append(list, "true", 1, []any{}, map[string]any{})
	case "array":
		list = append(list, "text", 1, true, map[string]any{})
		for _, item := range n.under("items").forbidden() {
			list = append(list, []any{item})
		}
	case "object":
		list = append(list, "text", 1, true, []any{})
	}
	if least, ok := number("minimum"); ok {
		list = append(list, least-1)
	}
	if most, ok := number("maximum"); ok {
		list = append(list, most+1)
	}
	if most, ok := number("maxLength"); ok {
		list = append(list, strings.Repeat("ö", most+1))
	}
	if most, ok := number("maxItems"); ok {
		items := make([]any, most+1)
		for i := range items {
			items[i] = fmt.Sprintf("https://example-%d.org", i)
		}
		list = append(list, items)
	}
	if _, ok := number("minItems"); ok {
		list = append(list, []any{})
	}
	return list
}
