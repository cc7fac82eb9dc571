// Command vulns runs govulncheck over the module. It fails for each known vulnerability that the code reaches, except
// for those in a list that says why each does no harm here. When the database cannot be reached, it says so and does
// not fail for that alone: nothing has been checked then.
//
//	go run ./internal/vulns LIST
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: vulns LIST")
		os.Exit(2)
	}
	if err := check(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vulns:", err)
		os.Exit(1)
	}
}

func check(list string, out io.Writer) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	accepted, err := parseList(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("go", "tool", "govulncheck", "-format", "json", "./...")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if unreachable(stderr.String()) {
			fmt.Fprintf(out,
				"SKIPPED: the database of vulnerabilities cannot be reached, so nothing was checked: %s\n",
				strings.TrimSpace(stderr.String()))
			return nil
		}
		return fmt.Errorf("govulncheck: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	found, err := parseFindings(&stdout)
	if err != nil {
		return fmt.Errorf("what govulncheck says: %w", err)
	}
	return judge(found, accepted, list, out)
}

// unreachable reports whether govulncheck has failed because it got nothing from its database.
func unreachable(message string) bool { return strings.Contains(message, "fetching vulnerabilities:") }

// parseList reads lines of an id (GO-, CVE- or GHSA-) and the reason why it does no harm; # begins a comment.
func parseList(text string) (map[string]string, error) {
	accepted := make(map[string]string)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, reason, _ := strings.Cut(line, " ")
		if reason = strings.TrimSpace(reason); reason == "" {
			return nil, fmt.Errorf("line %d: %s has no reason", i+1, id)
		}
		accepted[id] = reason
	}
	return accepted, nil
}

// vulnerability is one that the code reaches: a function that has it can be called.
type vulnerability struct {
	ids     []string // of the database, then the others it is known by
	summary string
	calls   map[string]bool // package.function
	fixed   string          // version; empty: none
}

// parseFindings reads govulncheck's stream of JSON objects.
func parseFindings(r io.Reader) (map[string]*vulnerability, error) {
	type message struct {
		OSV *struct {
			ID      string
			Aliases []string
			Summary string
		}
		Finding *struct {
			OSV          string
			FixedVersion string `json:"fixed_version"`
			Trace        []struct{ Module, Version, Package, Function string }
		}
	}
	known, reached := make(map[string]*vulnerability), make(map[string]*vulnerability)
	for d := json.NewDecoder(r); ; {
		var m message
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return reached, nil
		} else if err != nil {
			return nil, err
		}
		if m.OSV != nil {
			known[m.OSV.ID] = &vulnerability{
				ids: append([]string{m.OSV.ID}, m.OSV.Aliases...), summary: m.OSV.Summary, calls: make(map[string]bool),
			}
		}
		if f := m.Finding; f != nil && len(f.Trace) > 0 && f.Trace[0].Function != "" {
			v := known[f.OSV]
			if v == nil {
				return nil, fmt.Errorf("a finding of %s, which is not described", f.OSV)
			}
			v.calls[f.Trace[0].Package+"."+f.Trace[0].Function], v.fixed = true, f.FixedVersion
			reached[f.OSV] = v
		}
	}
}

// judge prints what was found, and fails when some of it is not accepted.
func judge(found map[string]*vulnerability, accepted map[string]string, list string, out io.Writer) error {
	used, refused := make(map[string]bool), 0
	for _, id := range slices.Sorted(maps.Keys(found)) {
		v := found[id]
		at := slices.IndexFunc(v.ids, func(id string) bool { return accepted[id] != "" })
		if at >= 0 {
			used[v.ids[at]] = true
			fmt.Fprintf(out, "accepted: %s: %s\n", strings.Join(v.ids, ", "), accepted[v.ids[at]])
			continue
		}
		refused++
		fmt.Fprintf(out, "VULNERABLE: %s: %s\n  called: %s\n  fixed in: %s\n", strings.Join(v.ids, ", "), v.summary,
			strings.Join(slices.Sorted(maps.Keys(v.calls)), ", "), v.fixed)
	}
	for _, id := range slices.Sorted(maps.Keys(accepted)) {
		if !used[id] {
			fmt.Fprintf(out, "%s is in %s and was not found: take it out if it has been fixed\n", id, list)
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d vulnerabilities are reached: update the module, or say in %s why one does no harm",
			refused, list)
	}
	return nil
}
