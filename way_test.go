package siaran

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestWays(t *testing.T) {
	for _, w := range []Way{{"a"}, {"edge-1", "a b, c%", "\x00\xff"}, {strings.Repeat("\xff", maxNodeName), "b", "c"}} {
		if got, err := ParseWay(w.String()); err != nil || !slices.Equal(got, w) {
			t.Errorf("%q is read as %q, %v", w.String(), got, err)
		}
	}
	for _, text := range []string{
		"", ",", "a,", "a,,b", "a b", "%", "%4", "%4g", "\xff", "a,b,c,d,e", strings.Repeat("a", maxNodeName+1),
		strings.Repeat("a", maxWayText+1),
	} {
		if w, err := ParseWay(text); !errors.Is(err, ErrWay) {
			t.Errorf("%q is read as %q, %v", text, w, err)
		}
	}
	for _, tt := range []struct {
		way  Way
		node string
		want error
	}{
		{nil, "a", nil}, {Way{"a"}, "b", nil}, {Way{"a", "b"}, "c", nil},
		{Way{"a"}, "a", ErrLoop}, {Way{"a", "b"}, "a", ErrLoop}, {Way{"a", "b", "c"}, "d", ErrTooFar},
	} {
		if err := tt.way.Check(tt.node); !errors.Is(err, tt.want) {
			t.Errorf("%v to %s: %v, want %v", tt.way, tt.node, err, tt.want)
		}
	}
	if w := WayOf(WithWay(t.Context(), Way{"a"})); !slices.Equal(w, Way{"a"}) || WayOf(t.Context()) != nil {
		t.Errorf("the context has %v", w)
	}
	w := make(Way, 1, 8)
	if a, b := w.Extended("a"), w.Extended("b"); a[1] != "a" || b[1] != "b" {
		t.Error("two ways share their memory")
	}
}

func FuzzParseWay(f *testing.F) {
	for _, seed := range []string{"", "a", "a, b,c", "%2C", "a,%", "a\t, b", "%FF%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWay(text)
		if err != nil {
			return
		}
		again, err := ParseWay(w.String())
		if err != nil || !slices.Equal(again, w) || len(w) > MaxWay+1 {
			t.Errorf("%q is read as %q, and that as %q, %v", text, w, again, err)
		}
	})
}
