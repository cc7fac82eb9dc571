package firestore

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

// refusing is a database that answers everything with the same error.
func refusing(t *testing.T, code codes.Code, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(code, text) }),
	)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return l.Addr().String()
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		code       codes.Code
		text, want string
	}{
		"no right": {codes.PermissionDenied, "Missing or insufficient permissions.", "may not use this database"},
		"API disabled": {
			codes.PermissionDenied,
			"Cloud Firestore API has not been used in project 1 before or it is disabled", "API is enabled",
		},
		"no credentials": {
			codes.Unauthenticated,
			"Request had invalid authentication credentials.", "credentials are not accepted",
		},
		"no database": {
			codes.NotFound,
			"The database (default) does not exist for project p", "create one in native mode",
		},
		"other mode": {
			codes.FailedPrecondition,
			"The Cloud Firestore API is not available for Firestore in Datastore Mode database", "native mode",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(t.Context(), Config{Emulator: refusing(t, c.code, c.text), Project: "p"})
			if err == nil {
				f.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	f, err := Open(t.Context(), Config{Project: "p"})
	if err == nil {
		f.Close()
		t.Fatal("opened")
	}
	if !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS") {
		t.Errorf("got %q, want the name of the setting", err)
	}
}

// TestAwayAtStart starts a server while the database is away, and brings the database back.
func TestAwayAtStart(t *testing.T) {
	t.Parallel()
	e := emulator.New(t)
	e.Stop()
	cfg := Config{Emulator: e.Host, Project: emulator.Project(), open: 500 * time.Millisecond}
	s := startStation(t, "here", cfg, short)
	p := listingtest.Publish(t, s.hub, "cats")
	v := listingtest.Join(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.f.Stream(ctx, "cats"); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("Stream: %v", err)
	}
	if err := s.f.Ready(t.Context()); err == nil || strings.Contains(err.Error(), e.Host) {
		t.Errorf("Ready: %v, want a reason without addresses", err)
	}
	e.Restart()
	testutil.Eventually(t, "all is written", func() bool { return s.read().agrees(p, "here", []siaran.ViewerID{v}) })
	testutil.Eventually(t, "the server is ready", func() bool { return s.f.Ready(t.Context()) == nil })
	s.stop()
}

func TestReadyIsPlain(t *testing.T) {
	f := open(t, Config{Project: emulator.Project()})
	testutil.Eventually(t, "it is ready", func() bool { return f.Ready(t.Context()) == nil })
	f.health.note(status.Error(codes.PermissionDenied, "project secret-project"))
	if err := f.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "secret-project") ||
		!strings.Contains(err.Error(), "may not use this database") {
		t.Errorf("Ready: %v", err)
	}
	f.health.note(nil)
	if err := f.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // or the machine might stand still between two looks
		c := newClock(nil)
		if d := time.Until(c.now()).Abs(); d > time.Second {
			t.Errorf("it begins %v off", d)
		}
		told := time.Now().Add(-time.Hour) // our machine's clock is an hour ahead
		c.observe(told, time.Now())
		if d := c.now().Sub(told).Abs(); d > time.Second {
			t.Errorf("it shows %v, %v off", c.now(), d)
		}
		if d := c.translate(time.Now().Add(15 * time.Second)).Sub(told); (d - 15*time.Second).Abs() > time.Second {
			t.Errorf("a lease of 15 s lasts %v", d)
		}
		if d := c.difference(); (d - time.Hour).Abs() > time.Second {
			t.Errorf("the difference is %v", d)
		}
		c.observe(told.Add(time.Minute), time.Now().Add(-time.Minute)) // the machine slept before it read the answer
		if d := c.now().Sub(told).Abs(); d > time.Second {
			t.Errorf("an answer that is a minute old changed it to %v", c.now())
		}
		c.observe(time.Time{}, time.Now())
		if d := c.now().Sub(told).Abs(); d > time.Second {
			t.Errorf("an answer without a time changed the clock to %v", c.now())
		}
	})
}
