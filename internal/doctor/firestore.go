package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"siaran"
	"siaran/listing/firestore"
	"siaran/web/access"
)

const (
	openTime  = 8 * time.Second // the listing waits five seconds for a database that does not answer
	queryTime = 3 * time.Second
)

// checkFirestore opens the database as the server does, reads, writes, and removes what it has written.
func checkFirestore(ctx context.Context, open func(context.Context) (*firestore.Listing, error)) []Check {
	const name = "firestore"
	opening, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	db, err := open(opening)
	if err != nil {
		return []Check{fail(name, plainListing(err)+".", "Set it up as described in docs/firestore.md.")}
	}
	defer func() { _ = db.Close() }() // nothing waits to be written
	for _, step := range []struct {
		doing string
		do    func(context.Context) error
	}{
		{"read", func(ctx context.Context) error {
			_, err := db.Streams(ctx, siaran.StreamQuery{Limit: 1})
			return err
		}},
		{"written", func(ctx context.Context) error { return db.Renew(ctx, siaran.Node{Name: ownNode()}) }},
		{"cleaned up", func(ctx context.Context) error { // this needs the indexes
			_, err := db.Sweep(ctx, ownNode())
			return err
		}},
	} {
		if err := withTime(ctx, queryTime, step.do); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return []Check{fail(name, "Firestore cannot be reached.", "Allow connections to firestore.googleapis.com, TCP "+
					"port 443, and check that DNS works.")}
			}
			return []Check{fail(name, fmt.Sprintf("the database cannot be %s: %s.", step.doing, plainListing(err)),
				"Set it up as described in docs/firestore.md.")}
		}
	}
	return []Check{ok(name, "the database can be read and written, and has its indexes.")}
}

func withTime(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// ownNode is a node name that no server has.
func ownNode() string {
	host, _ := os.Hostname() // works without one too
	return "doctor of " + strings.ReplaceAll(host, "/", "-")
}

// plainListing removes the prefixes that the listing puts before its errors.
func plainListing(err error) string {
	text := strings.TrimPrefix(err.Error(), "--listing firestore: ")
	return strings.TrimRight(strings.TrimPrefix(text, "listing in Firestore: "), ".")
}

// checkAccounts asks Firebase Authentication as the server does.
func checkAccounts(ctx context.Context, ask func(context.Context) error) Check {
	const name = "accounts"
	err := withTime(ctx, openTime, ask)
	switch {
	case err == nil:
		return ok(name, "Firebase Authentication answers.")
	case errors.Is(err, access.ErrUnreachable):
		return fail(name, "Firebase Authentication does not answer: nobody can sign in with an account.",
			"Allow connections to identitytoolkit.googleapis.com and www.googleapis.com, TCP port 443, and check that DNS "+
				"works.")
	}
	return fail(name, strings.TrimRight(strings.TrimPrefix(err.Error(), "--auth-firebase: "), ".")+".",
		"Set it up as described in docs/auth.md.")
}
