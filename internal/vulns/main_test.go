package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

const said = `{"config":{"protocol_version":"v1.0.0"}}
{"progress":{"message":"Checking the code"}}
{"osv":{"id":"GO-2026-0001","aliases":["CVE-2026-1","GHSA-aaaa"],"summary":"It panics"}}
{"osv":{"id":"GO-2026-0002","aliases":["CVE-2026-2"],"summary":"It is never called"}}
{"finding":{"osv":"GO-2026-0001","fixed_version":"v1.2.3","trace":[{"module":"example.org/m","version":"v1.0.0"}]}}
{"finding":{"osv":"GO-2026-0001","fixed_version":"v1.2.3","trace":[
{"module":"example.org/m","version":"v1.0.0","package":"example.org/m/p","function":"Parse"}]}}
{"finding":{"osv":"GO-2026-0002","trace":[{"module":"example.org/n","version":"v1.0.0","package":"example.org/n"}]}}
`

func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		list   string
		fails  bool
		prints string
	}{
		"nothing accepted": {"# none\n", true,
			"VULNERABLE: GO-2026-0001, CVE-2026-1, GHSA-aaaa: It panics\n" +
				"  called: example.org/m/p.Parse\n  fixed in: v1.2.3"},
		"by its other id": {"CVE-2026-1 we never parse\n", false,
			"accepted: GO-2026-0001, CVE-2026-1, GHSA-aaaa: we never parse"},
		"by its own id": {"GO-2026-0001  we never parse\n", false, "accepted: GO-2026-0001"},
		"of another":    {"CVE-2026-3 old\n", true, "CVE-2026-3 is in LIST and was not found"},
	} {
		t.Run(name, func(t *testing.T) {
			accepted, err := parseList(test.list)
			if err != nil {
				t.Fatal(err)
			}
			found, err := parseFindings(strings.NewReader(said))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := judge(found, accepted, "LIST", &out); (err != nil) != test.fails {
				t.Errorf("%v: %s", err, out.String())
			}
			if !strings.Contains(out.String(), test.prints) || strings.Contains(out.String(), "GO-2026-0002") {
				t.Errorf("it prints %s", out.String())
			}
		})
	}
}

func TestList(t *testing.T) {
	if _, err := parseList("CVE-2026-1\n"); err == nil {
		t.Error("no reason is needed")
	}
	text, err := os.ReadFile("../../.ci/advisories")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := parseList(string(text)); err != nil || len(list) == 0 {
		t.Errorf("the project's own: %v, %v", list, err)
	}
}

func TestBrokenOutput(t *testing.T) {
	for _, text := range []string{"{", `{"finding":{"osv":"GO-1","trace":[{"function":"F"}]}}`} {
		if _, err := parseFindings(strings.NewReader(text)); err == nil {
			t.Errorf("%s is understood", text)
		}
	}
}

func TestUnreachable(t *testing.T) {
	const real = `govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/index/modules.json.gz": ` +
		`dial tcp: lookup vuln.go.dev: no such host`
	const other = "govulncheck: loading packages: there are errors with the provided package patterns"
	if !unreachable(real) || unreachable(other) {
		t.Error("one failure is taken for the other")
	}
}
