package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// TokenVerifier verifies tokens: Secret those of this server, package firebaseauth those of Firebase.
//
// Verify fails with ErrNoToken, ErrBadToken or ErrExpired, and for tokens of accounts also with ErrSignedOut,
// ErrDisabled or ErrUnreachable. With ErrExpired it may return the claims too.
//
// Recheck returns the current version of claims from Verify, without the token: an account may have stopped being an
// administrator since. It fails as Verify does, except that an account does not fail with ErrExpired: its tokens are
// renewed every hour, and the account stays. Errors other than these may be temporary.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (Claims, error)
	Recheck(ctx context.Context, c Claims) (Claims, error)
}

// ByIssuer passes each token to the verifier of the issuer that it names (the claim "iss", RFC 7519 section 4.1.1), and
// every other text to own. What a token says about itself is believed only so far: the verifier then requires a
// signature of that issuer.
func ByIssuer(own TokenVerifier, issuers map[string]TokenVerifier) TokenVerifier {
	return byIssuer{own, issuers}
}

type byIssuer struct {
	own     TokenVerifier
	issuers map[string]TokenVerifier
}

func (b byIssuer) Verify(ctx context.Context, token string) (Claims, error) {
	name := issuer(token)
	if v := b.issuers[name]; v != nil {
		c, err := v.Verify(ctx, token)
		c.issuer = name
		return c, err
	}
	return b.own.Verify(ctx, token)
}

func (b byIssuer) Recheck(ctx context.Context, c Claims) (Claims, error) {
	if v := b.issuers[c.issuer]; v != nil {
		now, err := v.Recheck(ctx, c)
		now.issuer = c.issuer
		return now, err
	}
	return b.own.Recheck(ctx, c)
}

// issuer returns the issuer that a token names, or "" if it names none or cannot be read.
func issuer(token string) string {
	if len(token) > MaxToken || strings.Count(token, ".") != 2 {
		return ""
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(body, &claims) != nil {
		return ""
	}
	return claims.Issuer
}
