package server

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestSettingsHaveTheNamesOfTheirFlags: what is said about a changed setting is about a flag that there is.
func TestSettingsHaveTheNamesOfTheirFlags(t *testing.T) {
	var c Config
	parser, err := kong.New(&c, kong.Vars{"skip_interfaces": SkipInterfaces, "admin_listen": DefaultAdminListen})
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, f := range parser.Model.Flags {
		if f.Name != "help" {
			flags = append(flags, f.Name)
		}
	}
	slices.Sort(flags)
	var names []string
	for name := range settingsOf(c) {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(flags, names) {
		t.Errorf("the flags are %v, the settings %v", flags, names)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "settings.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, reload, _ := strings.Cut(string(text), "## Changing settings")
	for name := range adjustable {
		if !strings.Contains(reload, "`--"+name+"`") {
			t.Errorf("docs/settings.md does not say that SIGHUP applies --%s", name)
		}
		if !slices.Contains(flags, name) {
			t.Errorf("there is no flag %s", name)
		}
	}
}

func TestDifferences(t *testing.T) {
	now := testConfig("data")
	next := now
	next.MaxViewers, next.Listen, next.TLSCert, next.AllowOrigin = 7, ":1", "cert.pem", []string{"https://a.example"}
	names := differences(now, next)
	if want := []string{"allow-origin", "listen", "max-viewers", "tls-cert"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	got := merged(now, next, []string{"allow-origin", "max-viewers"})
	want := now
	want.MaxViewers, want.AllowOrigin = next.MaxViewers, next.AllowOrigin
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if now.MaxViewers == 7 {
		t.Error("what was given has changed")
	}
}
