package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// patience bounds a whole run. A check that has no result by then has failed.
const patience = 30 * time.Second

// Status is the result of a check.
type Status string

// Warn means that something works badly, not for everyone, or not for long. Skip means that it could not be checked.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Check is one finding.
type Check struct {
	Name    string `json:"name"` // does not change between versions
	Status  Status `json:"status"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"` // empty when there is nothing to do
}

// String returns one line for people.
func (c Check) String() string {
	line := fmt.Sprintf("%-4s  %s: %s", c.Status, c.Name, c.Message)
	if c.Remedy != "" {
		line += " " + c.Remedy
	}
	return strings.Map(printable, line)
}

// printable replaces control characters, because messages can contain a server's own words.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return ' '
	}
	return r
}

// Report is the findings of a run, in order.
type Report struct {
	OK     bool    `json:"ok"` // nothing failed
	Checks []Check `json:"checks"`
}

// JSON writes the report for scripts.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Failed returns how many checks failed.
func (r *Report) Failed() (n int) {
	for _, c := range r.Checks {
		if c.Status == Fail {
			n++
		}
	}
	return n
}

// findings collects checks and passes each on as it comes.
type findings struct {
	report Report
	emit   func(Check)
}

func newFindings(report func(Check)) *findings {
	if report == nil {
		report = func(Check) {}
	}
	return &findings{report: Report{OK: true, Checks: []Check{}}, emit: report}
}

func (f *findings) add(checks ...Check) {
	for _, c := range checks {
		f.report.OK = f.report.OK && c.Status != Fail
		f.report.Checks = append(f.report.Checks, c)
		f.emit(c)
	}
}

func ok(name, format string, args ...any) Check {
	return Check{Name: name, Status: OK, Message: fmt.Sprintf(format, args...)}
}

func skip(name, format string, args ...any) Check {
	return Check{Name: name, Status: Skip, Message: fmt.Sprintf(format, args...)}
}

func warn(name, message, remedy string) Check { return Check{name, Warn, message, remedy} }
func fail(name, message, remedy string) Check { return Check{name, Fail, message, remedy} }
