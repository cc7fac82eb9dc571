package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocs holds docs/metrics.md to the metrics there are: a row for each, and none besides.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range families {
		want = append(want, f.row)
	}
	rows := regexp.MustCompile("(?m)^\\| `siaran_.*$").FindAllString(string(text), -1)
	for _, row := range want {
		if !slices.Contains(rows, row) {
			t.Errorf("docs/metrics.md has no row\n%s", row)
		}
	}
	for _, row := range rows {
		if !slices.Contains(want, row) {
			t.Errorf("docs/metrics.md has a row of no metric:\n%s", row)
		}
	}
}

// TestNames holds the conventions of Prometheus.
func TestNames(t *testing.T) {
	for _, f := range families {
		name, kind, _ := strings.Cut(strings.TrimPrefix(f.row, "| `"), "` | ")
		counts := strings.HasPrefix(kind, "counter")
		if counts != strings.HasSuffix(name, "_total") {
			t.Errorf("%s: only counters end in _total", name)
		}
		if strings.HasPrefix(kind, "histogram") && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s: a histogram of seconds says so", name)
		}
	}
}
