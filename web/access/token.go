package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"siaran"
)

// Scope is a kind of thing that may be done.
type Scope string

// The scopes. Publish includes Watch and the keeping of the stream: its title, its viewers,
// its keys, the end of its broadcast. Admin includes all.
const (
	Publish Scope = "publish"
	Watch   Scope = "watch"
	Admin   Scope = "admin"
)

// AllStreams stands in Claims.Stream for every stream.
const AllStreams = "*"

const maxToken = 4096 // bytes; ours have about 200

// Claims is what a token says.
type Claims struct {
	Stream        string // a name, or AllStreams
	Scopes        []Scope
	KeyGeneration int       // of the stream when the token was made; of no meaning with AllStreams
	Expires       time.Time // to the second; zero: never
	ID            string    // Mint draws one when it is empty

	// Account is who has signed in ("firebase:UID"), empty for a token of our own. An account
	// comes with AllStreams, which then means all of its own streams, unless it is an administrator's.
	Account string
}

// Owner names the broadcaster: who publishes with the same token again is the same, and so is
// who has signed in with the same account, whose tokens are renewed every hour. It is empty for nobody.
func (c Claims) Owner() string {
	switch {
	case c.Account != "":
		return c.Account
	case c.ID != "":
		return "key:" + c.ID
	}
	return ""
}

// jwtClaims is Claims as it stands in a token.
type jwtClaims struct {
	Scope      string `json:"scope"` // separated by spaces (RFC 8693 section 4.2)
	Generation int    `json:"gen,omitempty"`
	jwt.RegisteredClaims
}

// Mint makes a token. It fails when the claims make no sense.
func (s *Secret) Mint(c Claims) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	if c.ID == "" {
		c.ID = rand.Text()
	}
	words := make([]string, len(c.Scopes))
	for i, scope := range c.Scopes {
		words[i] = string(scope)
	}
	body := jwtClaims{Scope: strings.Join(words, " "), RegisteredClaims: jwt.RegisteredClaims{Subject: c.Stream, ID: c.ID, IssuedAt: jwt.NewNumericDate(time.Now())}}
	if c.Stream != AllStreams {
		body.Generation = c.KeyGeneration
	}
	if !c.Expires.IsZero() {
		body.ExpiresAt = jwt.NewNumericDate(c.Expires)
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, body).SignedString(s.key)
}

func (c Claims) check() error {
	if c.Stream != AllStreams {
		if _, err := siaran.ParseStreamName(c.Stream); err != nil {
			return fmt.Errorf("a token is for one stream or for '*': %w", err)
		}
	}
	if len(c.Scopes) == 0 {
		return errors.New("a token needs a scope: publish, watch or admin")
	}
	for _, scope := range c.Scopes {
		if !scope.known() {
			return fmt.Errorf("there is no scope %q: choose publish, watch or admin", scope)
		}
	}
	return nil
}

func (s Scope) known() bool { return s == Publish || s == Watch || s == Admin }

var parser = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}))

// Verify reads a token of this server: ErrNoToken for an empty one, ErrBadToken, ErrExpired.
// With ErrExpired the claims are returned too: the token was good once.
func (s *Secret) Verify(_ context.Context, token string) (Claims, error) {
	if token == "" {
		return Claims{}, ErrNoToken
	}
	if len(token) > maxToken {
		return Claims{}, ErrBadToken
	}
	var body jwtClaims
	_, err := parser.ParseWithClaims(token, &body, func(*jwt.Token) (any, error) { return s.key, nil })
	expired := errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenNotValidYet)
	if err != nil && !expired { // the signature is checked before the claims
		return Claims{}, ErrBadToken
	}
	c := Claims{Stream: body.Subject, KeyGeneration: body.Generation, ID: body.ID}
	for word := range strings.FieldsSeq(body.Scope) {
		if scope := Scope(word); scope.known() && !slices.Contains(c.Scopes, scope) {
			c.Scopes = append(c.Scopes, scope)
		}
	}
	if body.ExpiresAt != nil {
		c.Expires = body.ExpiresAt.Time
	}
	if c.ID == "" {
		sum := sha256.Sum256([]byte(token))
		c.ID = hex.EncodeToString(sum[:16])
	}
	if c.check() != nil {
		return Claims{}, ErrBadToken
	}
	if expired {
		return c, ErrExpired
	}
	return c, nil
}

func (c Claims) has(scope Scope) bool {
	return slices.Contains(c.Scopes, scope) || slices.Contains(c.Scopes, Admin) ||
		scope == Watch && slices.Contains(c.Scopes, Publish)
}

// IsAdmin tells whether the claims allow everything everywhere.
func (c Claims) IsAdmin() bool { return c.Stream == AllStreams && slices.Contains(c.Scopes, Admin) }
