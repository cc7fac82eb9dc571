package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// contract is what openapi.yaml says. The schemas of OpenAPI 3.1 are JSON Schema 2020-12, so that a validator of these
// does the work.
type contract struct {
	doc      map[string]any
	compiler *jsonschema.Compiler

	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema // by JSON pointer
	seen     map[string]bool               // answers, such as "GET /api/ice 200"
}

var theContract = sync.OnceValue(func() *contract {
	var fromYAML any
	if err := yaml.Unmarshal(openAPIDocument, &fromYAML); err != nil {
		panic(err)
	}
	text, err := json.Marshal(fromYAML)
	if err != nil {
		panic(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text)) // numbers as the validator wants them
	if err != nil {
		panic(err)
	}
	c := &contract{
		doc: doc.(map[string]any), compiler: jsonschema.NewCompiler(), compiled: make(map[string]*jsonschema.Schema),
		seen: make(map[string]bool),
	}
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource("openapi.yaml", doc); err != nil {
		panic(err)
	}
	return c
})

// node is a part of the document, with the JSON pointer to it.
type node struct {
	c     *contract
	at    string
	value any
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// under returns what is below a node, behind references; its value is nil if there is nothing.
func (n node) under(keys ...string) node {
	for _, key := range keys {
		object, _ := n.value.(map[string]any)
		n = node{n.c, n.at + "/" + pointerEscapes.Replace(key), object[key]}
		if ref, ok := n.field("$ref").(string); ok {
			n = node{n.c, "", n.c.doc}.under(strings.Split(ref, "/")[1:]...)
		}
	}
	return n
}

func (n node) field(name string) any {
	object, _ := n.value.(map[string]any)
	return object[name]
}

// each returns what is in an object, in the order of the names, or in a list.
func (n node) each() (names []string, nodes []node) {
	switch v := n.value.(type) {
	case map[string]any:
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			nodes = append(nodes, n.under(name))
		}
	case []any:
		byIndex := make(map[string]any)
		for i, item := range v {
			byIndex[strconv.Itoa(i)] = item
		}
		return node{n.c, n.at, byIndex}.each()
	}
	return names, nodes
}

// schema compiles the schema at a node.
func (n node) schema() (*jsonschema.Schema, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if s := n.c.compiled[n.at]; s != nil {
		return s, nil
	}
	s, err := n.c.compiler.Compile("openapi.yaml#" + (&url.URL{Path: n.at}).EscapedPath())
	if err == nil {
		n.c.compiled[n.at] = s
	}
	return s, err
}

func (n node) check(value any) error {
	s, err := n.schema()
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// checkText checks a parameter or a header field, which is text, against a schema of any type.
func (n node) checkText(text string) error {
	err := n.check(text)
	if value, bad := jsonschema.UnmarshalJSON(strings.NewReader(text)); err != nil && bad == nil {
		return n.check(value)
	}
	return err
}

func (c *contract) root() node { return node{c, "", c.doc} }

// operation finds the description of a request, and the parameters in its path. HEAD is as GET.
func (c *contract) operation(method, path string) (op node, template string, params map[string]string) {
	names, items := c.root().under("paths").each()
	parts, fewest := strings.Split(strings.TrimSuffix(path, "/"), "/"), len(path)
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i, name := range names {
		found, ok := match(strings.Split(name, "/"), parts)
		if !ok {
			continue
		}
		here := items[i].under(strings.ToLower(method))
		if op.value == nil || here.value != nil && len(found) < fewest { // an exact part goes before a parameter
			op, template, params, fewest = here, name, found, len(found)
		}
	}
	return op, template, params
}

func match(template, path []string) (params map[string]string, ok bool) {
	if len(template) != len(path) {
		return nil, false
	}
	params = make(map[string]string)
	for i, part := range template {
		if name, ok := strings.CutPrefix(part, "{"); ok && path[i] != "" {
			params[strings.TrimSuffix(name, "}")] = path[i]
		} else if part != path[i] {
			return nil, false
		}
	}
	return params, true
}

// parameters are those of an operation and of its path.
func (c *contract) parameters(op node, template string) []node {
	_, own := op.under("parameters").each()
	_, shared := c.root().under("paths", template, "parameters").each()
	return append(own, shared...)
}

// checkRequest says what is wrong with a request.
func (c *contract) checkRequest(r *http.Request, body []byte) error {
	op, template, params := c.operation(r.Method, r.URL.Path)
	for _, p := range c.parameters(op, template) {
		name, value, sent := p.field("name").(string), "", false
		switch p.field("in") {
		case "path":
			value, sent = params[name], true
		case "query":
			value, sent = r.URL.Query().Get(name), r.URL.Query().Has(name)
		case "header":
			value, sent = r.Header.Get(name), r.Header.Get(name) != ""
		}
		if !sent && p.field("required") == true {
			return fmt.Errorf("%s is missing", name)
		}
		if sent {
			if err := p.under("schema").checkText(value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	described := op.under("requestBody")
	if len(body) == 0 {
		if described.field("required") == true {
			return fmt.Errorf("the body is missing")
		}
		return nil
	}
	return checkBody(described, r.Header.Get("Content-Type"), body)
}

func checkBody(described node, contentType string, body []byte) error {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	content := described.under("content", kind)
	if content.value == nil {
		return fmt.Errorf("content type %s is not described", kind)
	}
	if content.field("schema") == nil {
		return nil
	}
	if !strings.HasSuffix(kind, "json") {
		return content.under("schema").check(string(body))
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	if object, ok := value.(map[string]any); ok && !strings.Contains(described.at, "/responses/") { // null: absent
		maps.DeleteFunc(object, func(_ string, member any) bool { return member == nil })
	}
	return content.under("schema").check(value)
}

// checkAnswer says what is wrong with an answer.
func (c *contract) checkAnswer(method, path string, r *http.Response, body []byte) error {
	op, template, _ := c.operation(method, path)
	if op.value == nil {
		if template != "" && (r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") == "") {
			return fmt.Errorf("the method is not described")
		}
		return checkContent(c.root().under("components", "responses", "Problem"), method, r, body)
	}
	described := op.under("responses", strconv.Itoa(r.StatusCode))
	if described.value == nil {
		return fmt.Errorf("status %d is not described", r.StatusCode)
	}
	names, headers := described.under("headers").each()
	for i, h := range headers {
		values := r.Header.Values(names[i])
		if len(values) == 0 && h.field("required") == true {
			return fmt.Errorf("header %s is missing", names[i])
		}
		for _, value := range values {
			if err := h.under("schema").checkText(value); err != nil {
				return fmt.Errorf("header %s: %w", names[i], err)
			}
		}
	}
	return checkContent(described, method, r, body)
}

func checkContent(described node, method string, r *http.Response, body []byte) error {
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case described.field("content") == nil:
		if len(body) > 0 {
			return fmt.Errorf("a body is not described")
		}
	case described.under("content", kind).value == nil:
		return fmt.Errorf("content type %q is not described", kind)
	case method != http.MethodHead && kind != mimeEvents:
		return checkBody(described, kind, body)
	}
	return nil
}

// checking is a transport that compares all that passes with the description.
type checking struct {
	*http.Transport
	t testing.TB
}

func (tr checking) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.GetBody != nil {
		copied, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		if sent, err = io.ReadAll(copied); err != nil {
			return nil, err
		}
	}
	res, err := tr.Transport.RoundTrip(r)
	if err != nil || r.Method == http.MethodOptions || isPage(r.URL.Path) {
		return res, err
	}
	c, what := theContract(), r.Method+" "+r.URL.Path
	if res.StatusCode < 300 {
		if err := c.checkRequest(r, sent); err != nil {
			tr.t.Errorf("%s was answered with %d, although the description forbids it: %v", what, res.StatusCode, err)
		}
	}
	var got []byte
	if kind := res.Header.Get("Content-Type"); kind != mimeEvents {
		if got, err = io.ReadAll(res.Body); err != nil {
			return nil, err
		}
		res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(got))
	}
	c.note(r, res.StatusCode)
	if err := c.checkAnswer(r.Method, r.URL.Path, res, got); err != nil {
		tr.t.Errorf("the answer to %s, %d %s, is not as described: %v", what, res.StatusCode, got, err)
	}
	return res, nil
}

func isPage(path string) bool {
	for _, prefix := range []string{"/api", "/whip", "/whep", "/healthz", "/readyz"} {
		if path == prefix && prefix != "/api" || strings.HasPrefix(path, prefix+"/") && path != "/api/" {
			return false
		}
	}
	return true
}

// note remembers that an answer has been seen.
func (c *contract) note(r *http.Request, status int) {
	_, template, _ := c.operation(r.Method, r.URL.Path)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[strings.Replace(r.Method, http.MethodHead, http.MethodGet, 1)+" "+template+" "+strconv.Itoa(status)] = true
}

// unseen are the answers that are described, and that no test has got.
func (c *contract) unseen() (list []string) {
	for _, op := range c.operations() {
		statuses, _ := op.under("responses").each()
		for _, status := range statuses {
			if answer := op.String() + " " + status; !c.seen[answer] {
				list = append(list, answer)
			}
		}
	}
	return list
}
