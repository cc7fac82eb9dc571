package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// TokenVerifier reads tokens. Secret does so for those of this server, package firebaseauth for those of Firebase.
//
// Verify fails with ErrNoToken, ErrBadToken or ErrExpired, and, where tokens are of accounts,
// ErrSignedOut, ErrDisabled or ErrUnreachable. With ErrExpired the claims may be there too.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (Claims, error)
}

// ByIssuer hands each token to the verifier of the issuer that it names (the claim "iss", RFC
// 7519 section 4.1.1), and every other, also one that is no token at all, to own. What a token says of itself
// is believed that far only: the verifier then looks for a signature of that issuer.
func ByIssuer(own TokenVerifier, issuers map[string]TokenVerifier) TokenVerifier {
	return byIssuer{own, issuers}
}

type byIssuer struct {
	own     TokenVerifier
	issuers map[string]TokenVerifier
}

func (b byIssuer) Verify(ctx context.Context, token string) (Claims, error) {
	if v := b.issuers[issuer(token)]; v != nil {
		return v.Verify(ctx, token)
	}
	return b.own.Verify(ctx, token)
}

// issuer is who a token says has made it, empty when it does not say or cannot be read.
func issuer(token string) string {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
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
