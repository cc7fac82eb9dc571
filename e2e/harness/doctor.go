package harness

import (
	"strings"
	"testing"

	"siaran/internal/doctor"
)

// finding is what a report says under a name, which it must say once.
func finding(t *testing.T, r *doctor.Report, name string) doctor.Check {
	t.Helper()
	var found []doctor.Check
	for _, c := range r.Checks {
		if c.Name == name {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d findings about %s: %v", len(found), name, found)
	}
	return found[0]
}

func WantFinding(t *testing.T, r *doctor.Report, name string, status doctor.Status, says string) {
	t.Helper()
	if c := finding(t, r, name); c.Status != status || !strings.Contains(c.String(), says) {
		t.Errorf("%s; it should be %s and say %q", c, status, says)
	}
}
