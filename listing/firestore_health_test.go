package listing

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
	"siaran/listing/emulator"
)

// TestFirestoreListenersAlone has nothing but the listeners fail, in ways that pass and in one that Google's library gives up at.
func TestFirestoreListenersAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code codes.Code
		want string
	}{
		"away":    {codes.Unavailable, "cannot be reached"},
		"refused": {codes.PermissionDenied, "may not use this database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, project := startProxy(t), emulator.Project()
			s := startStation(t, "here", FirestoreConfig{Emulator: p.host, Project: project, grace: time.Second})
			other := openFirestore(t, FirestoreConfig{Project: project})
			eventually(t, "it is ready", func() bool { return s.f.Ready(t.Context()) == nil })
			p.set(func(_ context.Context, method string, _ []byte) error {
				if method == "Listen" {
					return status.Error(c.code, "project secret-project at 192.0.2.1")
				}
				return nil
			})
			eventually(t, "it says that it is not", func() bool { return s.f.Ready(t.Context()) != nil })
			eventually(t, "it says why", func() bool {
				err := s.f.Ready(t.Context())
				return err != nil && strings.Contains(err.Error(), "has told no changes for") && strings.Contains(err.Error(), c.want)
			})
			if err := s.f.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "secret-project") || strings.Contains(err.Error(), "192.0.2.1") {
				t.Errorf("Ready: %v, want no names and addresses", err)
			}
			cats := publish(t, s.hub, "cats")
			v := join(t, cats)
			eventually(t, "what is live is written", func() bool { return s.read().agrees(cats, "here", []siaran.ViewerID{v}) })
			if list, err := s.f.Streams(t.Context(), siaran.StreamQuery{}); err != nil || len(list) != 1 {
				t.Errorf("listed are %+v, %v", list, err)
			}
			before := s.f.Stats().Reads
			for range 200 { // of people who look at the list meanwhile
				if list, err := s.f.Streams(t.Context(), siaran.StreamQuery{MayLag: true}); err != nil || len(list) != 1 {
					t.Fatalf("listed are %+v, %v", list, err)
				}
			}
			if n := s.f.Stats().Reads - before; n > 100 {
				t.Errorf("%d documents were read for them", n)
			}
			p.set(nil)
			eventually(t, "it is ready again", func() bool { return s.f.Ready(t.Context()) == nil })
			if err := other.Renew(t.Context(), siaran.Node{Name: "other", LeaseUntil: time.Now().Add(time.Minute)}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it hears of others", func() bool { _, _, ok := s.f.mirror.node("other"); return ok })
			s.stop()
		})
	}
}

// TestFirestoreAnswers has the database refuse one thing, which does not mean that it is away.
func TestFirestoreAnswers(t *testing.T) {
	f := openFirestore(t, FirestoreConfig{Project: emulator.Project()})
	for _, code := range []codes.Code{codes.Aborted, codes.AlreadyExists, codes.InvalidArgument} {
		f.answered(status.Error(code, "no"))
		if !f.health.inContact() {
			t.Errorf("after %v the database is taken to be away", code)
		}
	}
	f.answered(status.Error(codes.Unavailable, "no"))
	if f.health.inContact() {
		t.Error("the database is taken to be there")
	}
	f.answered(nil)
}

// TestFirestoreBackAndForth has a stream come and go before the listener could tell: memory is relied on all the same.
func TestFirestoreBackAndForth(t *testing.T) {
	t.Parallel()
	f := openFirestore(t, FirestoreConfig{Project: emulator.Project()})
	eventually(t, "it has listened", func() bool { _, ok := f.mirror.allLive(false); return ok })
	f.mirror.wrote("cats", f.clock.now())
	if _, ok := f.mirror.allLive(false); ok {
		t.Fatal("memory is relied on though it lacks what was just written")
	}
	eventually(t, "memory is relied on", func() bool {
		if err := f.ask(t.Context(), callTimeout); err != nil { // as a lease would keep it in touch
			t.Fatal(err)
		}
		_, ok := f.mirror.allLive(false)
		return ok
	})
}
