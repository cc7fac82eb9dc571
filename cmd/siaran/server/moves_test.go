package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"siaran"
	"siaran/listing"
	"siaran/web/access"
)

// lists is a listing that says where one stream is.
type lists struct {
	listing.Neighbours
	at siaran.Whereabouts
}

func (l *lists) Whereabouts(name siaran.StreamName) (siaran.Whereabouts, bool) {
	return l.at, l.at.Stream.Name == name
}

// TestMoves: who may go on here with a broadcast of another server.
func TestMoves(t *testing.T) {
	t.Parallel()
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, fresh := file("old", "01234567890123456789012345678901"), file("new", "abcdefghijklmnopqrstuvwxyzabcdef")
	secret := func(files ...string) *access.Secret {
		s, err := access.OpenShared(t.TempDir(), files)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	wrong := file("wrong", "ababababababababababababababab.!")
	type where = siaran.Whereabouts
	provenBy := func(key string) func(*where) {
		return func(w *where) { w.Publisher = secret(key).Publisher("cats", "b", "key:me") }
	}
	as := func(*where) {}
	dead := func(w *where) { w.Alive = false }
	silent := func(w *where) { w.Stream.Status = siaran.StatusInterrupted }
	movedNow := func(w *where) { w.Moved = time.Now() }
	const begins, goesOn, sends = "begins", "goes on", "goes on, where it may be sent"
	taken, contested := siaran.ErrStreamTaken.Error(), siaran.ErrContested.Error()
	for name, tt := range map[string]struct {
		change func(*where)
		owner  string
		want   string
	}{
		"mine":                        {as, "key:me", sends},
		"mine, interrupted":           {silent, "key:me", goesOn},
		"mine, of a dead server":      {dead, "key:me", goesOn},
		"mine, has just moved":        {movedNow, "key:me", contested},
		"mine, has moved, and silent": {func(w *where) { movedNow(w); silent(w) }, "key:me", goesOn},
		"mine, has moved, and dead":   {func(w *where) { movedNow(w); dead(w) }, "key:me", goesOn},
		"mine, moved long ago":        {func(w *where) { w.Moved = time.Now().Add(-contestTime) }, "key:me", sends},
		"mine, by the new secret":     {provenBy(fresh), "key:me", sends},
		"by a secret of strangers":    {provenBy(wrong), "key:me", taken},
		"without a proof":             {func(w *where) { w.Publisher = "" }, "key:me", taken},
		"with another's proof":        {func(w *where) { w.Stream.BroadcastID = "c" }, "key:me", taken},
		"somebody else's":             {as, "key:you", taken},
		"somebody else's, and dead":   {dead, "key:you", begins},
		"nobody asks":                 {as, "", taken},
		"not live":                    {func(w *where) { w.Stream.Name = "dogs" }, "key:me", begins},
		"of this server":              {func(w *where) { w.Stream.Node = "here" }, "key:you", begins},
	} {
		at := where{
			Stream: siaran.Stream{Name: "cats", Node: "there", BroadcastID: "b", Status: siaran.StatusLive},
			Alive:  true, Moves: 2,
		}
		provenBy(old)(&at)
		tt.change(&at)
		s := &server{cfg: Config{Node: "here"}, secret: secret(fresh, old), neighbours: &lists{at: at}}
		origin, quarrel, err := moves{s}.Origin("cats", tt.owner)
		got := begins
		switch {
		case err != nil:
			got = err.Error()
		case origin == siaran.Origin{ID: "b", Moves: 3} && quarrel:
			got = sends
		case origin == siaran.Origin{ID: "b", Moves: 3}:
			got = goesOn
		case origin != siaran.Origin{}:
			t.Errorf("%s: %+v", name, origin)
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if err := s.mayMove("cats", tt.owner); (err == nil) != (got == goesOn || got == sends) {
			t.Errorf("%s: mayMove: %v", name, err)
		}
	}
}
