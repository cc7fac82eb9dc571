package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestReportShape holds the JSON, which scripts rely on.
func TestReportShape(t *testing.T) {
	f := newFindings(nil)
	f.add(ok("one", "fine."), warn("two", "so so.", "Mend it."))
	var out bytes.Buffer
	if err := f.report.JSON(&out); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"ok": true, "checks": []any{
		map[string]any{"name": "one", "status": "ok", "message": "fine.", "remedy": ""},
		map[string]any{"name": "two", "status": "warn", "message": "so so.", "remedy": "Mend it."},
	}}
	if a, b := compact(t, got), compact(t, want); a != b {
		t.Errorf("%s instead of %s", a, b)
	}
	f.add(fail("three", "broken.", "Buy another."))
	if f.report.OK || f.report.Failed() != 1 {
		t.Errorf("%+v", f.report)
	}
	if line := f.report.Checks[2].String(); line != "fail  three: broken. Buy another." {
		t.Errorf("%q", line)
	}
	out.Reset()
	if err := newFindings(nil).report.JSON(&out); err != nil || !strings.Contains(out.String(), `"checks": []`) {
		t.Errorf("nothing found: %v %s", err, out.String())
	}
}

func compact(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLinesAreFitForATerminal(t *testing.T) {
	if line := fail("x", "a\x1b[31m\nb\u009b", "c").String(); strings.ContainsAny(line, "\x1b\n\u009b") {
		t.Errorf("%q", line)
	}
}

func TestProblemsOfTheConfiguration(t *testing.T) {
	one(t, checkProblems(nil), OK)
	one(t, checkProblems(errors.New("--grace 2h: give less")), Fail, "--grace")
	list := checkProblems(errors.Join(errors.New("--udp"), errors.New("--data")))
	if len(list) != 2 || list[0].Name != "config" || !strings.Contains(list[1].Message, "--data") {
		t.Errorf("%v", list)
	}
}
