package siaran

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestEmbedSites(t *testing.T) {
	for _, tt := range []struct {
		list   []string
		want   EmbedSites
		yes    []string
		no     []string
		inside []string
	}{
		{list: []string{"*"}, want: "", yes: []string{"https://a.example", "null", ""}, inside: []string{"*"}},
		{list: nil, want: NoSites, no: []string{"https://a.example", "null", "", "none"}, inside: []string{}},
		{
			list: []string{
				" HTTPS://Example.org/ ", "http://localhost:3000", "https://a.example:443", "https://[2001:db8::1]:8443",
			},
			want: "https://example.org http://localhost:3000 https://a.example https://[2001:db8::1]:8443",
			yes:  []string{"https://example.org", "http://localhost:3000", "https://EXAMPLE.org", "https://a.example"},
			no: []string{
				"http://example.org", "https://example.org:8443", "https://www.example.org", "https://example.org.evil.test",
				"https://evil.test/https://example.org", "null", "", "*",
			},
		},
		{
			list: []string{"https://*.example.org"}, want: "https://*.example.org",
			yes: []string{"https://a.example.org", "https://a.b.example.org"},
			no:  []string{"https://example.org", "https://.example.org.evil", "https://aexample.org", "http://a.example.org"},
		},
	} {
		got, err := ParseEmbedSites(tt.list)
		if err != nil || got != tt.want {
			t.Fatalf("%q: %q, %v, want %q", tt.list, got, err, tt.want)
		}
		for _, origin := range tt.yes {
			if !got.Allow(origin) {
				t.Errorf("%q refuses %q", got, origin)
			}
		}
		for _, origin := range tt.no {
			if got.Allow(origin) {
				t.Errorf("%q allows %q", got, origin)
			}
		}
		if tt.inside != nil && !slices.Equal(got.List(), tt.inside) {
			t.Errorf("%q: %q", got, got.List())
		}
	}
	for _, text := range []string{
		"", "*", "example.org", "https://", "https://example.org/path", "https://a b", "https://a;script-src",
		"javascript://x",
		"https://a'b", "https://user@a", "https://a?b", "https://a#b", "https://a:b", "https://a:", "https://ä.example",
		"https://*", "https://*.", "https://a.*.b", "https://" + strings.Repeat("a", 300), "'none'", "none", "null",
	} {
		if got, err := ParseEmbedSites([]string{text, "https://a.example"}); !errors.Is(err, ErrEmbedSites) {
			t.Errorf("%q is taken: %q, %v", text, got, err)
		}
	}
	if _, err := ParseEmbedSites(slices.Repeat([]string{"https://a.example"}, 21)); !errors.Is(err, ErrEmbedSites) {
		t.Error(err)
	}
}

// FuzzEmbedSites: whatever is taken stays in its place in a header, and means the same when it is read again.
func FuzzEmbedSites(f *testing.F) {
	f.Add("https://example.org")
	f.Add("http://*.a-b.example:81/")
	f.Fuzz(func(t *testing.T, text string) {
		sites, err := ParseEmbedSites([]string{text})
		if err != nil || sites == "" || sites == NoSites {
			return
		}
		if strings.ContainsAny(string(sites), " ;,'\"\r\n\t") {
			t.Fatalf("%q becomes %q", text, sites)
		}
		if again, err := ParseEmbedSites(sites.List()); err != nil || again != sites {
			t.Fatalf("%q: %q, %v", sites, again, err)
		}
		if !strings.Contains(string(sites), "*") && !sites.Allow(string(sites)) {
			t.Fatalf("%q does not allow itself", sites)
		}
	})
}
