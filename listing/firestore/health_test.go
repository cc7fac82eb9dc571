package firestore

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

// TestListenersAlone makes only the listeners fail: in a way that passes, and in one at which Google's library gives
// up.
func TestListenersAlone(t *testing.T) {
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
			s := startStation(t, "here", Config{Emulator: p.host, Project: project, grace: time.Second})
			other := open(t, Config{Project: project})
			testutil.Eventually(t, "it is ready", func() bool { return s.f.Ready(t.Context()) == nil })
			p.set(func(_ context.Context, method string, _ []byte) error {
				if method == "Listen" {
					return status.Error(c.code, "project secret-project at 192.0.2.1")
				}
				return nil
			})
			testutil.Eventually(t, "it reports that it is not ready", func() bool { return s.f.Ready(t.Context()) != nil })
			testutil.Eventually(t, "it reports why", func() bool {
				err := s.f.Ready(t.Context())
				return err != nil && strings.Contains(err.Error(), "no updates from Firestore for") &&
					strings.Contains(err.Error(), c.want)
			})
			if err := s.f.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "secret-project") ||
				strings.Contains(err.Error(), "192.0.2.1") {
				t.Errorf("Ready: %v, want no names and addresses", err)
			}
			cats := listingtest.Publish(t, s.hub, "cats")
			v := listingtest.Join(t, cats)
			testutil.Eventually(
				t,
				"what is live is written",
				func() bool { return s.read().agrees(cats, "here", []siaran.ViewerID{v}) },
			)
			if list, err := s.f.Streams(t.Context(), siaran.StreamQuery{}); err != nil || len(list) != 1 {
				t.Errorf("listed are %+v, %v", list, err)
			}
			before, cached := s.f.Stats().Reads, listing.NewCached(s.f)
			for range 200 { // people who look at the list meanwhile
				if list, err := cached.LiveList(t.Context()); err != nil || len(list.Streams) != 1 {
					t.Fatalf("listed are %+v, %v", list, err)
				}
			}
			if n := s.f.Stats().Reads - before; n > 100 {
				t.Errorf("%d documents were read for them", n)
			}
			p.set(nil)
			testutil.Eventually(t, "it is ready again", func() bool { return s.f.Ready(t.Context()) == nil })
			if err := other.Renew(t.Context(), siaran.Node{Name: "other", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			testutil.Eventually(t, "it knows the other server", func() bool {
				_, _, ok := s.f.mirror.node("other")
				return ok
			})
			s.stop()
		})
	}
}

// TestAnswers makes the database refuse one thing, which does not mean that it is away.
func TestAnswers(t *testing.T) {
	f := open(t, Config{Project: emulator.Project()})
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

// TestBackAndForth writes and undoes something before the listener can deliver it. Memory is relied on again all the
// same.
func TestBackAndForth(t *testing.T) {
	t.Parallel()
	f := open(t, Config{Project: emulator.Project()})
	testutil.Eventually(t, "it has listened", func() bool { _, ok := f.mirror.allLive(false); return ok })
	f.mirror.wrote("cats", f.clock.now())
	if _, ok := f.mirror.allLive(false); ok {
		t.Fatal("memory is relied on though it lacks what was just written")
	}
	testutil.Eventually(t, "memory is relied on", func() bool {
		if err := f.ask(t.Context(), listing.CallTimeout); err != nil { // as a lease would keep it in touch
			t.Fatal(err)
		}
		_, ok := f.mirror.allLive(false)
		return ok
	})
}
