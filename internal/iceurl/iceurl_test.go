package iceurl

import "testing"

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"turn:a.example.org", "turns:[2001:db8::1]:443?transport=tcp", "turn:[1]3478?transport=tcp",
		"turn:[1]", "stun:a:1", "turn:]a", "turn:[a]b]:1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if u, err := Parse(text); err == nil && u.Host == "" {
			t.Errorf("%q: %+v", text, u)
		}
	})
}
