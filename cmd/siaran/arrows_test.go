package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows is which of our packages may import which: they point inward, and only the command knows all.
var arrows = map[string][]string{
	"siaran":                                  {},
	"siaran/ingest":                           {"siaran"},
	"siaran/egress":                           {"siaran"},
	"siaran/turn":                             {},
	"siaran/listing":                          {"siaran"},
	"siaran/listing/emulator":                 {},
	"siaran/listing/listingtest":              {"siaran"},
	"siaran/listing/rulestest":                {},
	"siaran/web/access":                       {"siaran"},
	"siaran/web/access/firebaseauth":          {"siaran/web/access"},
	"siaran/web/access/firebaseauth/emulator": {},
	"siaran/web":                              {"siaran", "siaran/web/access"},
}

// foreign is what must not be imported, directly or not: the domain knows no network, no HTTP and no
// database; sessions know no HTTP of ours; pages know no database.
var foreign = map[string][]string{
	"siaran":            {"net", "net/http", "database/sql", "github.com/pion/webrtc/v3", "github.com/labstack/echo/v4"},
	"siaran/ingest":     {"github.com/labstack/echo/v4", "database/sql"},
	"siaran/egress":     {"github.com/labstack/echo/v4", "database/sql"},
	"siaran/listing":    {"github.com/labstack/echo/v4", "github.com/pion/webrtc/v3"},
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
		if strings.HasPrefix(p.ImportPath, "siaran/cmd/") {
			continue
		}
		allowed, known := arrows[p.ImportPath]
		if !known {
			t.Errorf("package %s has no place in the house: give it one here", p.ImportPath)
		}
		for _, imported := range p.Imports {
			if (imported == "siaran" || strings.HasPrefix(imported, "siaran/")) && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s, it may import %v", p.ImportPath, imported, allowed)
			}
		}
		for _, banned := range foreign[p.ImportPath] {
			if slices.Contains(p.Deps, banned) {
				t.Errorf("%s depends on %s", p.ImportPath, banned)
			}
		}
	}
}
