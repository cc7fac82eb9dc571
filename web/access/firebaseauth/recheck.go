package firebaseauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"siaran/web/access"
)

// Recheck implements access.TokenVerifier. Answers about accounts are remembered like those about tokens, so that many
// sessions of one account cost one look-up.
func (v *Verifier) Recheck(ctx context.Context, c access.Claims) (access.Claims, error) {
	key := sha256.Sum256([]byte("account " + c.Account)) // no token contains a space
	a, known := v.remembered.get(key, v.now())
	if !known {
		shared, _, _ := v.flights.Do(string(key[:]), func() (any, error) {
			return v.lookUp(context.WithoutCancel(ctx), key, strings.TrimPrefix(c.Account, Account(""))), nil
		})
		a = shared.(answer)
	}
	if a.err != nil {
		return c, a.err
	}
	if c.Issued.Before(a.validAfter) {
		return c, access.ErrSignedOut
	}
	c.Scopes = a.claims.Scopes
	return c, nil
}

// lookUp asks Google about an account, and remembers the answer unless it is a temporary failure.
func (v *Verifier) lookUp(ctx context.Context, key [sha256.Size]byte, uid string) answer {
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	select {
	case v.lookups <- struct{}{}:
		defer func() { <-v.lookups }()
	case <-ctx.Done():
		return answer{err: unreachable{ctx.Err()}}
	}
	user, err := v.client.GetUser(ctx, uid)
	a := answer{err: explain(err)}
	switch {
	case err == nil && user.Disabled:
		a.err = access.ErrDisabled
	case err == nil:
		a.claims.Scopes = scopesOf(user.CustomClaims)
		a.validAfter = time.UnixMilli(user.TokensValidAfterMillis)
	case errors.Is(a.err, access.ErrUnreachable):
		v.tell(err)
		return a
	}
	v.tell(nil)
	v.remembered.put(key, a, v.now().Add(rememberFor))
	return a
}
