package web

import (
	"html/template"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryProblemIsExplained: what the code can answer has a page and is in the description, and nothing else is.
func TestEveryProblemIsExplained(t *testing.T) {
	t.Parallel()
	var codes, described []string
	_, values := theContract().root().under("components", "schemas", "Problem", "properties", "code", "enum").each()
	for _, v := range values {
		described = append(described, v.value.(string))
	}
	s := start(t)
	for _, k := range problemKinds {
		codes = append(codes, k.Code)
		r := s.do(call{method: "GET", path: k.Address()})
		if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", k.Address(), r.StatusCode, r.Header.Get("Content-Type"))
		}
		if k.Title == "" || k.Meaning == "" || k.Remedy == "" || k.StatusText() == "" {
			t.Errorf("%+v", k)
		}
	}
	slices.Sort(codes)
	slices.Sort(described)
	if !slices.Equal(codes, described) || len(slices.Compact(slices.Clone(codes))) != len(codes) {
		t.Errorf("explained:\n%q\ndescribed:\n%q", codes, described)
	}
	wantProblem(t, s.do(call{method: "GET", path: "/problems/nothing"}), 404)
	wantProblem(t, s.do(call{method: "GET", path: "/problems"}), 404)

	var code strings.Builder
	files, err := filepath.Glob("*.go")
	s.must(err)
	for _, file := range files {
		if file != "problems.go" && !strings.HasSuffix(file, "_test.go") {
			text, err := os.ReadFile(file)
			s.must(err)
			code.Write(text)
		}
	}
	text, err := os.ReadFile("problems.go")
	s.must(err)
	for _, m := range regexp.MustCompile(`(\w+) += kind\(`).FindAllStringSubmatch(string(text), -1) {
		if !regexp.MustCompile(`\b` + m[1] + `\b[,}]`).MatchString(code.String()) {
			t.Errorf("nothing is answered with %s", m[1])
		}
	}
}

// TestPageOfTheAPI: it shows all operations, objects and problems, and its links lead somewhere.
func TestPageOfTheAPI(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.do(call{method: "GET", path: "/api/"})
	if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Security-Policy"), pagePolicy) {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	for _, op := range theContract().operations() {
		want := `<span class="method ` + op.method + `">` + op.method + `</span> <span>` + op.path + `</span></h3>`
		if !strings.Contains(r.body, want) {
			t.Errorf("%s is not shown", op)
		}
		if text := op.field("summary").(string); !strings.Contains(r.body, template.HTMLEscapeString(text)) {
			t.Errorf("%s: %q is not shown", op, text)
		}
	}
	ids := make(map[string]bool)
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(r.body, -1) {
		if ids[m[1]] {
			t.Errorf("there are two of #%s", m[1])
		}
		ids[m[1]] = true
	}
	schemas, _ := theContract().root().under("components", "schemas").each()
	for _, name := range schemas {
		if !ids["schema-"+name] {
			t.Errorf("the object %s is not shown", name)
		}
	}
	linked := make(map[string]bool)
	for _, m := range regexp.MustCompile(` href="([^"]*)"`).FindAllStringSubmatch(r.body, -1) {
		linked[m[1]] = true
	}
	for _, k := range problemKinds {
		if !linked[k.Address()] {
			t.Errorf("%s is not linked", k.Address())
		}
	}
	for link := range linked {
		id, inside := strings.CutPrefix(link, "#")
		if inside && !ids[id] || !inside && s.do(call{method: "GET", path: link}).StatusCode != 200 {
			t.Errorf("%s leads nowhere", link)
		}
	}
}
