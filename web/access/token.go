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

// Scope is what a token allows.
type Scope string

// The scopes. Publish includes Watch and managing the stream: its title, its viewers, its keys, ending its broadcast.
// Admin includes everything but Relay, which is for servers with the same secret: it allows to pass the stream on to
// viewers, whatever the stream's keys, and nothing else. Metrics, which is for all streams, allows to read metrics, and
// nothing else.
const (
	Publish Scope = "publish"
	Watch   Scope = "watch"
	Admin   Scope = "admin"
	Relay   Scope = "relay"
	Metrics Scope = "metrics"
)

// relayLife is how long a token for Relay is valid. It is made for one request.
const relayLife = time.Minute

// AllStreams stands in Claims.Stream for every stream.
const AllStreams = "*"

// MaxToken is the length in bytes of the longest token that is looked at; our own have about 200.
const MaxToken = 4096

// Claims is what a token says.
type Claims struct {
	Stream        string // a name, or AllStreams
	Scopes        []Scope
	KeyGeneration int       // of the stream when the token was made; for AllStreams see RevokeAll
	Expires       time.Time // to the second; zero: never
	ID            string    // if it is empty, Mint makes a random one

	// Account is the account that has signed in ("firebase:UID"), empty for tokens of this server. It comes with
	// AllStreams, which then means all of its own streams, or all streams for an administrator.
	Account string
	Issued  time.Time // to the second; of an account's token

	// Site is the user of the operator's site that has let the request in. It comes with one stream.
	Site string

	issuer string // which of several verifiers has read the token; see ByIssuer
}

// Owner identifies a broadcaster: it is the same for the same token, and for all tokens of the same account, which are
// renewed every hour. It is empty for zero claims.
func (c Claims) Owner() string {
	switch {
	case c.Account != "":
		return c.Account
	case c.Site != "":
		return "site:" + c.Site
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

// Mint makes a token. It fails if the claims make no sense.
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
	body := jwtClaims{Scope: strings.Join(words, " "), RegisteredClaims: jwt.RegisteredClaims{
		Subject: c.Stream, ID: c.ID, IssuedAt: jwt.NewNumericDate(time.Now()),
	}}
	body.Generation = c.KeyGeneration
	if c.Stream == AllStreams {
		var err error
		if body.Generation, err = s.generation(); err != nil {
			return "", err
		}
	}
	if !c.Expires.IsZero() {
		body.ExpiresAt = jwt.NewNumericDate(c.Expires)
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, body).SignedString(s.key())
}

func (c Claims) check() error {
	if c.Stream != AllStreams {
		if _, err := siaran.ParseStreamName(c.Stream); err != nil {
			return fmt.Errorf("a token is for one stream or for '*': %w", err)
		}
	}
	if len(c.Scopes) == 0 {
		return errors.New("a token needs a scope: publish, watch, admin or metrics")
	}
	for _, scope := range c.Scopes {
		if !scope.known() {
			return fmt.Errorf("there is no scope %q: choose publish, watch, admin or metrics", scope)
		}
		if scope == Relay && c.Stream == AllStreams {
			return errors.New("a server passes one stream on: the scope relay does not go with '*'")
		}
		if scope == Metrics && c.Stream != AllStreams {
			return errors.New("metrics are of all streams: the scope metrics goes with '*'")
		}
	}
	return nil
}

func (s Scope) known() bool {
	return s == Publish || s == Watch || s == Admin || s == Relay || s == Metrics
}

var parser = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}))

// Verify verifies a token of this server. It fails with ErrNoToken for an empty one, ErrBadToken, ErrExpired, and
// ErrRevoked for a token for all streams; Claims.Check finds out whether a token for one stream has been revoked. With
// ErrExpired it returns the claims too: the token was good once.
func (s *Secret) Verify(_ context.Context, token string) (Claims, error) {
	if token == "" {
		return Claims{}, ErrNoToken
	}
	if len(token) > MaxToken {
		return Claims{}, ErrBadToken
	}
	var body jwtClaims
	_, err := parser.ParseWithClaims(token, &body, func(*jwt.Token) (any, error) { return s.keys.Load().accepted, nil })
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
	if err := s.revoked(c); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// Recheck implements TokenVerifier.
func (s *Secret) Recheck(_ context.Context, c Claims) (Claims, error) {
	if err := s.revoked(c); err != nil {
		return c, err
	}
	if !c.Expires.IsZero() && !time.Now().Before(c.Expires) {
		return c, ErrExpired
	}
	return c, nil
}

func (s *Secret) revoked(c Claims) error {
	if c.Stream != AllStreams {
		return nil
	}
	generation, err := s.generation()
	if err == nil && generation != c.KeyGeneration {
		err = ErrRevoked
	}
	return err
}

func (c Claims) has(scope Scope) bool {
	if c.IsChild() {
		return scope == Watch
	}
	return slices.Contains(c.Scopes, scope) || slices.Contains(c.Scopes, Admin) ||
		scope == Watch && slices.Contains(c.Scopes, Publish)
}

// IsChild reports whether the claims are those of another server that passes the stream on.
func (c Claims) IsChild() bool { return slices.Contains(c.Scopes, Relay) }

// MintRelay makes a token with which another server that has this secret lets this one, node, have a stream.
func (s *Secret) MintRelay(stream siaran.StreamName, node string) (string, error) {
	return s.Mint(Claims{
		Stream: string(stream), Scopes: []Scope{Relay}, ID: "relay " + node, Expires: time.Now().Add(relayLife),
	})
}

// IsAdmin reports whether the claims allow everything everywhere.
func (c Claims) IsAdmin() bool { return c.Stream == AllStreams && slices.Contains(c.Scopes, Admin) }

// MayScrape reports whether the claims allow to read metrics.
func (c Claims) MayScrape() bool {
	return c.IsAdmin() || c.Stream == AllStreams && slices.Contains(c.Scopes, Metrics)
}
