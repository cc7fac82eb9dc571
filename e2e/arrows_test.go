package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// everything stands for all packages that belong to nothing else: it leaves out the wiring and the tests.
const everything = "..."

// arrows is which of our packages may import which: they point inward, and only the command knows all.
var arrows = map[string][]string{
	"siaran":         {},
	"siaran/cluster": {"siaran"},
	"siaran/egress": {
		"siaran",
		"siaran/internal/bwe",
		"siaran/internal/codec",
		"siaran/internal/dtlsguard",
		"siaran/internal/fault",
		"siaran/internal/measure",
		"siaran/internal/monotonic",
		"siaran/internal/netaddr",
		"siaran/internal/pionlog",
		"siaran/internal/sdp",
		"siaran/mediaport",
	},
	"siaran/ingest": {
		"siaran",
		"siaran/internal/accept",
		"siaran/internal/codec",
		"siaran/internal/dtlsguard",
		"siaran/internal/fault",
		"siaran/internal/measure",
		"siaran/internal/netaddr",
		"siaran/internal/pionlog",
		"siaran/internal/sdp",
		"siaran/mediaport",
	},
	"siaran/internal/accept": {},
	"siaran/internal/admin":  {},
	"siaran/internal/axe":    {"siaran/internal/testutil"},
	"siaran/internal/bench": {
		"siaran", "siaran/internal/iceurl", "siaran/internal/pionlog", "siaran/internal/sdp", "siaran/internal/signalling",
	},
	"siaran/internal/bwe":      {},
	"siaran/internal/certs":    {},
	"siaran/internal/clip":     {"siaran", "siaran/internal/codec"},
	"siaran/internal/codec":    {"siaran"},
	"siaran/internal/crossvet": {},
	"siaran/internal/demo":     {"siaran/internal/clip"},
	"siaran/internal/doctor": {
		"siaran",
		"siaran/internal/clip",
		"siaran/internal/demo",
		"siaran/internal/iceurl",
		"siaran/internal/pionlog",
		"siaran/internal/signalling",
		"siaran/internal/upstream",
		"siaran/internal/whep",
		"siaran/internal/whip",
		"siaran/listing/firestore",
		"siaran/mediaport",
		"siaran/web/access",
	},
	"siaran/internal/dtlsguard": {},
	"siaran/internal/durable":   {},
	"siaran/internal/fault":     {},
	"siaran/internal/iceurl":    {},
	"siaran/internal/measure":   {},
	"siaran/internal/metrics": {
		"siaran", "siaran/cluster", "siaran/egress", "siaran/ingest", "siaran/internal/load", "siaran/internal/measure",
		"siaran/internal/tlsmux", "siaran/internal/tracing", "siaran/internal/webhook", "siaran/listing",
		"siaran/listing/firestore", "siaran/mediaport", "siaran/turn", "siaran/web", "siaran/web/admission",
	},
	"siaran/internal/lastlive":            {"siaran"},
	"siaran/internal/load":                {},
	"siaran/internal/monotonic":           {},
	"siaran/internal/netaddr":             {},
	"siaran/internal/pionlog":             {},
	"siaran/internal/signalling":          {"siaran/internal/sdp"},
	"siaran/internal/sdp":                 {"siaran"},
	"siaran/internal/secretfile":          {},
	"siaran/internal/signedpost":          {"siaran/internal/secretfile"},
	"siaran/internal/testca":              {},
	"siaran/internal/testutil":            {},
	"siaran/internal/tlsmux":              {"siaran/internal/accept", "siaran/internal/netaddr"},
	"siaran/internal/tracing":             {"siaran/internal/measure"},
	"siaran/internal/tracing/tracingtest": {},
	"siaran/internal/upstream":            {"siaran", "siaran/cluster"},
	"siaran/internal/vulns":               {},
	"siaran/internal/webhook":             {"siaran", "siaran/internal/signedpost"},
	"siaran/internal/whep":                {"siaran/internal/pionlog", "siaran/internal/signalling"},
	"siaran/internal/whip":                {"siaran/internal/pionlog", "siaran/internal/signalling"},
	"siaran/listing":                      {"siaran", "siaran/internal/measure", "siaran/listing/internal/live"},
	"siaran/listing/firestore":            {"siaran", "siaran/listing", "siaran/listing/internal/live"},
	"siaran/listing/firestore/emulator":   {},
	"siaran/listing/internal/live":        {"siaran"},
	"siaran/listing/listingtest":          {"siaran", "siaran/internal/testutil"},
	"siaran/listing/rulestest":            {},
	"siaran/listing/sqlite":               {"siaran", "siaran/listing/internal/live"},
	"siaran/mediaport": {
		"siaran/internal/fault", "siaran/internal/monotonic", "siaran/internal/netaddr",
	},
	"siaran/turn": {
		"siaran/internal/accept", "siaran/internal/fault", "siaran/internal/monotonic", "siaran/internal/netaddr",
		"siaran/internal/pionlog",
	},
	"siaran/web": {
		"siaran",
		"siaran/internal/codec",
		"siaran/internal/load",
		"siaran/internal/measure",
		"siaran/internal/netaddr",
		"siaran/internal/sdp",
		"siaran/listing",
		"siaran/web/access",
		"siaran/web/admission",
	},
	"siaran/web/admission":                    {"siaran", "siaran/internal/measure", "siaran/internal/signedpost"},
	"siaran/web/access":                       {"siaran", "siaran/internal/durable", "siaran/internal/secretfile"},
	"siaran/web/access/firebaseauth":          {"siaran/web/access"},
	"siaran/web/access/firebaseauth/emulator": {"siaran/internal/testutil"},
	"siaran/web/jscheck":                      {},

	"siaran/internal/publish": {"siaran/internal/clip", "siaran/internal/whip"},

	"siaran/cmd/siaran":        {everything},
	"siaran/cmd/siaran/server": {everything},

	"siaran/e2e":                  {},
	"siaran/e2e/browser":          {},
	"siaran/e2e/cluster":          {},
	"siaran/e2e/firestore":        {},
	"siaran/e2e/harness":          {everything},
	"siaran/e2e/harness/chromium": {"siaran/e2e/harness"},
	"siaran/e2e/harness/netlab":   {"siaran/e2e/harness"},
	"siaran/e2e/media":            {},
	"siaran/e2e/netns":            {},
	"siaran/e2e/soak":             {},
}

// foreign lists what a package must not import, directly or through another package: the domain has no network, no
// HTTP and no database; sessions do not use our HTTP; pages do not use a database.
var foreign = map[string][]string{
	"siaran":            {"net", "net/http", "database/sql"},
	"siaran/cluster":    {"net/http", "database/sql"},
	"siaran/ingest":     {"github.com/labstack/echo/v4", "database/sql"},
	"siaran/egress":     {"github.com/labstack/echo/v4", "database/sql"},
	"siaran/mediaport":  {"net/http", "database/sql", "github.com/pion/webrtc/v3"},
	"siaran/listing":    {"github.com/labstack/echo/v4", "github.com/pion/webrtc/v3", "database/sql"},
	"siaran/web/access": {"github.com/labstack/echo/v4", "database/sql", "firebase.google.com/go/v4/auth"},
	"siaran/web":        {"database/sql", "github.com/pion/webrtc/v3"},
}

func TestImportArrows(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "siaran/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath    string
			Imports, Deps []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		allowed, known := arrows[p.ImportPath]
		if !known {
			t.Errorf("package %s has no place in the house: give it one here", p.ImportPath)
		}
		for _, imported := range p.Imports {
			if (imported == "siaran" || strings.HasPrefix(imported, "siaran/")) && !mayImport(p.ImportPath, imported) {
				t.Errorf("%s imports %s, it may import %v", p.ImportPath, imported, allowed)
			}
		}
		if p.ImportPath == "siaran" {
			for _, imported := range p.Deps {
				if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
					t.Errorf("the domain depends on %s; it may use the standard library only", imported)
				}
			}
		}
		for _, banned := range foreign[p.ImportPath] {
			if slices.Contains(p.Deps, banned) {
				t.Errorf("%s depends on %s", p.ImportPath, banned)
			}
		}
	}
}

// mayImport reports whether one of our packages may import another.
func mayImport(importer, imported string) bool {
	if slices.Contains(arrows[importer], imported) {
		return true
	}
	if !slices.Contains(arrows[importer], everything) || strings.HasPrefix(imported, "siaran/e2e/") {
		return false
	}
	return imported != "siaran/cmd/siaran/server" || importer == "siaran/cmd/siaran" || importer == "siaran/e2e/harness"
}
