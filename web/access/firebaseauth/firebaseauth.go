package firebaseauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/auth"
	"firebase.google.com/go/v4/errorutils"
	"golang.org/x/sync/singleflight"
	"google.golang.org/api/option"

	"siaran/web/access"
)

// Bounds of requests to Google.
const (
	verifyTime  = 4 * time.Second  // an encoder waits 8 s for its answer
	checkTime   = 10 * time.Second // the SDK tries for 8 s when it cannot connect
	maxLookups  = 32               // at the same time
	maxToken    = 4096
	rememberFor = 30 * time.Second // this is also how late a disabled account may be noticed
	maxRemember = 4096             // tokens
)

// Config is what Open needs.
type Config struct {
	Project string
	Options []option.ClientOption // none: Google's application default credentials
	Logger  *slog.Logger          // nil: none
}

// Verifier is an access.TokenVerifier of one Firebase project. Its methods may be called from any goroutine.
type Verifier struct {
	client  *auth.Client
	project string
	log     *slog.Logger
	now     func() time.Time
	timeout time.Duration

	remembered *memory
	flights    singleflight.Group
	lookups    chan struct{} // has an entry for each that is running
	away       atomic.Bool   // Google did not answer the last time
}

// Open prepares to verify the ID tokens of a project. It does not ask Google anything yet. With
// FIREBASE_AUTH_EMULATOR_HOST in the environment, the SDK believes unsigned tokens and asks the emulator at that
// address.
func Open(ctx context.Context, cfg Config) (*Verifier, error) {
	if cfg.Project == "" {
		return nil, errors.New("no Firebase project is named")
	}
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: cfg.Project}, cfg.Options...)
	if err != nil {
		return nil, err
	}
	client, err := app.Auth(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Verifier{
		client: client, project: cfg.Project, log: cfg.Logger, now: time.Now, timeout: verifyTime,
		remembered: newMemory(maxRemember), lookups: make(chan struct{}, maxLookups),
	}, nil
}

// Issuer returns the claim "iss" of the tokens that Verify accepts.
func (v *Verifier) Issuer() string { return "https://securetoken.google.com/" + v.project }

// Account returns the name of the account with this uid, as it is in access.Claims.
func Account(uid string) string { return "firebase:" + uid }

// Check returns nil if accounts can be looked up, access.ErrUnreachable for a failure that may be temporary, or else
// what is wrong with the project or the credentials.
func (v *Verifier) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	_, err := v.client.GetUser(ctx, "siaran-start") // belongs to nobody: uids are random
	switch {
	case err == nil || auth.IsUserNotFound(err):
		return nil
	case auth.IsConfigurationNotFound(err):
		return fmt.Errorf("the project %s does not use Authentication: switch it on in the Firebase console", v.project)
	case errorutils.IsPermissionDenied(err) || errorutils.IsUnauthenticated(err):
		return fmt.Errorf("these credentials may not look up accounts of the project %s; give the service account the "+
			"role Firebase Authentication Viewer: %w", v.project, err)
	}
	return unreachable{err}
}

// Verify implements access.TokenVerifier. A valid token gives access to all streams of the account, or to all streams
// if the account has the custom claim admin: true.
func (v *Verifier) Verify(ctx context.Context, token string) (access.Claims, error) {
	if token == "" {
		return access.Claims{}, access.ErrNoToken
	}
	if len(token) > maxToken {
		return access.Claims{}, access.ErrBadToken
	}
	key := sha256.Sum256([]byte(token))
	if known, ok := v.remembered.get(key, v.now()); ok {
		return known.claims, known.err
	}
	// The first caller asks for all others that come with the same token, so asking goes on when that caller leaves.
	shared, _, _ := v.flights.Do(string(key[:]), func() (any, error) {
		if known, ok := v.remembered.get(key, v.now()); ok { // somebody else has asked since
			return known, nil
		}
		return v.ask(context.WithoutCancel(ctx), key, token), nil
	})
	a := shared.(answer)
	return a.claims, a.err
}

// ask verifies a token, and remembers the answer unless it is a temporary failure.
func (v *Verifier) ask(ctx context.Context, key [sha256.Size]byte, token string) answer {
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	select {
	case v.lookups <- struct{}{}:
		defer func() { <-v.lookups }()
	case <-ctx.Done():
		return answer{err: unreachable{ctx.Err()}}
	}
	verified, err := v.client.VerifyIDTokenAndCheckRevoked(ctx, token)
	a := answer{err: explain(err)}
	until := v.now().Add(rememberFor)
	switch {
	case err == nil:
		a.claims = claimsOf(verified)
		if a.claims.Expires.Before(until) {
			until = a.claims.Expires // then the SDK decides, with its leeway for clocks that differ
		}
	case errors.Is(a.err, access.ErrUnreachable):
		v.tell(err)
		return a
	case errors.Is(a.err, access.ErrBadToken) || errors.Is(a.err, access.ErrExpired): // found without the network
		return a
	}
	v.tell(nil)
	v.remembered.put(key, a, until)
	return a
}

func claimsOf(t *auth.Token) access.Claims {
	return access.Claims{
		Stream: access.AllStreams, Scopes: scopesOf(t.Claims), Account: Account(t.UID),
		Expires: time.Unix(t.Expires, 0), Issued: time.Unix(t.IssuedAt, 0),
	}
}

// scopesOf returns what custom claims allow.
func scopesOf(custom map[string]any) []access.Scope {
	if admin, _ := custom["admin"].(bool); admin {
		return []access.Scope{access.Admin}
	}
	return []access.Scope{access.Publish}
}

// explain translates an error of the SDK. Every error that is not about the token or its account means that Google
// could not be asked for its keys or the account.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case auth.IsIDTokenExpired(err):
		return access.ErrExpired
	case auth.IsIDTokenRevoked(err):
		return access.ErrSignedOut
	case auth.IsUserDisabled(err) || auth.IsUserNotFound(err):
		return access.ErrDisabled
	case auth.IsIDTokenInvalid(err) || auth.IsTenantIDMismatch(err):
		return access.ErrBadToken
	}
	return unreachable{err}
}

// tell logs when Google stops answering and when it answers again, not every time.
func (v *Verifier) tell(err error) {
	switch {
	case err != nil && v.away.CompareAndSwap(false, true):
		v.log.Error("Firebase Authentication does not answer: accounts cannot sign in here until it does", "error", err)
	case err == nil && v.away.CompareAndSwap(true, false):
		v.log.Info("Firebase Authentication answers again")
	}
}

// unreachable is access.ErrUnreachable for clients. Its cause is for the log.
type unreachable struct{ cause error }

func (u unreachable) Error() string { return access.ErrUnreachable.Error() }

func (u unreachable) Is(target error) bool { return target == access.ErrUnreachable }

func (u unreachable) Unwrap() error { return u.cause }
