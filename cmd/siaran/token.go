package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"siaran"
	"siaran/cmd/siaran/server"
	"siaran/listing/firestore"
	"siaran/listing/sqlite"
	"siaran/web/access"
)

// keyGeneration returns the generation of a stream's valid keys. It is 0 for a stream that has not been used yet.
func (t tokenCommand) keyGeneration(ctx context.Context, name siaran.StreamName) (int, error) {
	var db siaran.Listing
	var err error
	if t.Listing == "firestore" {
		cfg := server.Config{ListingConfig: server.ListingConfig{ListingPlace: t.ListingPlace}}
		db, err = cfg.OpenFirestore(ctx, firestore.Config{})
	} else {
		path := filepath.Join(t.Data, server.ListingFile)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return 0, nil
		}
		db, err = sqlite.Open(ctx, path)
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }() // nothing was written
	stream, err := db.Stream(ctx, name)
	if errors.Is(err, siaran.ErrUnknownStream) {
		err = nil
	}
	return stream.KeyGeneration, err
}

const day = 24 * time.Hour

// Default lifetimes of tokens. A token that may publish a single stream goes into an encoder, and renewing the stream's
// keys revokes it. A token for all streams is handled by people.
const (
	watchLife   = day
	allLife     = 30 * day
	publishLife = 365 * day
)

// life is how long a token is valid.
type life struct {
	time.Duration // 0: until it is revoked
	given         bool
}

// UnmarshalText reads a time such as 24h, or never.
func (l *life) UnmarshalText(text []byte) error {
	l.given = true
	if string(text) == "never" {
		l.Duration = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("%q: give a time such as 24h, or never", text)
	}
	l.Duration = d
	return nil
}

type tokenCommand struct {
	Data   string   `default:"./siaran-data" placeholder:"FOLDER"`
	Stream string   `placeholder:"NAME"`
	Scope  []string `enum:"publish,watch,admin,metrics"`
	server.ListingPlace
	SecretFile []string `name:"secret-file" placeholder:"FILE"`
	TTL        life     `name:"ttl" placeholder:"24h"`
	RevokeAll  bool     `name:"revoke-all"`
}

// Run prints one token. The server need not be running, and may never have run.
func (t tokenCommand) Run(ctx context.Context, c console) error {
	mint := t.Stream != "" || len(t.Scope) > 0
	switch {
	case !mint && t.RevokeAll:
	case t.Stream == "":
		return usageError{errors.New("--stream: give the stream that the token is for, or '*' for all streams")}
	case len(t.Scope) == 0:
		return usageError{errors.New("--scope: give what the token allows: publish, watch, admin or metrics")}
	}
	if mint {
		if _, err := t.claims(); err != nil {
			return usageError{err}
		}
	}
	if t.RevokeAll {
		secret, err := t.openSecret(c)
		if err != nil {
			return err
		}
		if _, err := secret.RevokeAll(); err != nil {
			return err
		}
		fmt.Fprintln(c.err, "siaran: all earlier tokens for all streams are revoked")
	}
	if !mint {
		return nil
	}
	token, err := t.mint(ctx, c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, token)
	return err
}

// openSecret also says when it had to make the secret: a server that uses another folder does not know its tokens.
func (t tokenCommand) openSecret(c console) (*access.Secret, error) {
	if len(t.SecretFile) > 0 {
		return server.Config{Data: t.Data, ClusterConfig: server.ClusterConfig{SecretFile: t.SecretFile}}.OpenSecret()
	}
	secret, created, err := access.OpenSecret(t.Data)
	if created {
		fmt.Fprintf(c.err, "siaran: a new secret was made in %s: only a server with this --data knows it\n", t.Data)
	}
	return secret, err
}

// mint makes the token, and tells people how long it is valid.
func (t tokenCommand) mint(ctx context.Context, c console) (string, error) {
	claims, err := t.claims()
	if err != nil {
		return "", err
	}
	secret, err := t.openSecret(c)
	if err != nil {
		return "", err
	}
	if claims.Stream != access.AllStreams {
		if claims.KeyGeneration, err = t.keyGeneration(ctx, siaran.StreamName(claims.Stream)); err != nil {
			return "", err
		}
	}
	token, err := secret.Mint(claims)
	if err != nil {
		return "", err
	}
	if isTerminal(c.err) && !claims.Expires.IsZero() {
		fmt.Fprintf(c.err, "siaran: valid until %s; use --ttl to change this\n", claims.Expires.Format("2006-01-02 15:04"))
	}
	return token, nil
}

// claims returns the claims of the token, without a key generation.
func (t tokenCommand) claims() (access.Claims, error) {
	claims := access.Claims{Stream: t.Stream}
	if t.Stream != access.AllStreams {
		if _, err := siaran.ParseStreamName(t.Stream); err != nil {
			return claims, fmt.Errorf("--stream %q: %w", t.Stream, err)
		}
	}
	for _, scope := range t.Scope {
		claims.Scopes = append(claims.Scopes, access.Scope(scope))
	}
	ttl := t.TTL.Duration
	if !t.TTL.given {
		ttl = usualLife(claims)
	}
	if ttl > 0 {
		claims.Expires = time.Now().Add(ttl)
	}
	return claims, nil
}

// usualLife is 0, for ever, of a token for metrics alone: it is in a configuration that nobody looks at.
func usualLife(c access.Claims) time.Duration {
	lives := map[access.Scope]time.Duration{access.Watch: watchLife, access.Publish: publishLife, access.Admin: allLife}
	var longest time.Duration
	for _, scope := range c.Scopes {
		longest = max(longest, lives[scope])
	}
	if c.Stream == access.AllStreams || slices.Contains(c.Scopes, access.Admin) {
		longest = min(longest, allLife)
	}
	return longest
}
