package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"siaran/listing/firestore"
	"siaran/web/access"
)

func opening(cfg firestore.Config) func(context.Context) (*firestore.Listing, error) {
	return func(ctx context.Context) (*firestore.Listing, error) { return firestore.Open(ctx, cfg) }
}

func TestFirestoreUnreachable(t *testing.T) {
	t.Parallel()
	one(t, checkFirestore(t.Context(), opening(firestore.Config{Project: "demo-x", Emulator: closed(t)})), Fail,
		"cannot be reached")
}

// TestFirestoreThatRefuses is a database that answers every call with an error.
func TestFirestoreThatRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		code       codes.Code
		text, says string
	}{
		"no database": {codes.NotFound, "The database (default) does not exist for project demo-x",
			"has no Firestore database"},
		"no right": {codes.PermissionDenied, "Missing or insufficient permissions.", "may not use this database"},
		"wrong mode": {codes.FailedPrecondition,
			"The Cloud Firestore API is not available for Firestore in Datastore Mode", "native mode"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
				return grpcstatus.Error(c.code, c.text)
			}))
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = s.Serve(l) // ends with Stop
			}()
			defer func() {
				s.Stop()
				<-done
			}()
			one(t, checkFirestore(t.Context(), opening(firestore.Config{Project: "demo-x", Emulator: l.Addr().String()})),
				Fail, c.says)
		})
	}
}

func TestFirestoreWithoutCredentials(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "") // and what it was comes back in the end
	os.Unsetenv("FIRESTORE_EMULATOR_HOST")
	path := filepath.Join(t.TempDir(), "key.json")
	one(t, checkFirestore(t.Context(), opening(firestore.Config{Project: "demo-x", Credentials: path})), Fail, "key.json")
	if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	one(t, checkFirestore(t.Context(), opening(firestore.Config{Project: "demo-x", Credentials: path})), Fail)
}

func TestAccounts(t *testing.T) {
	for err, want := range map[error]struct {
		status Status
		says   string
	}{
		nil: {OK, "answers"},
		fmt.Errorf("%w: dial", access.ErrUnreachable):     {Fail, "does not answer"},
		errors.New("--auth-firebase: no project: give x"): {Fail, "accounts: no project: give x."},
	} {
		said(t, checkAccounts(t.Context(), func(context.Context) error { return err }), want.status, want.says)
	}
}
