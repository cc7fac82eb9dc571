package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"siaran"
	"siaran/listing"
	"siaran/web/access"
)

type tokenCommand struct {
	Data   string        `default:"./siaran-data" placeholder:"FOLDER" help:"The server's data folder (default ${default})."`
	Stream string        `required:"" placeholder:"NAME" help:"The stream that the token is for; '*' for all."`
	Scope  []string      `required:"" enum:"publish,watch,admin" help:"What it allows: publish, watch or admin; may be repeated."`
	TTL    time.Duration `name:"ttl" placeholder:"24h" help:"How long it is valid (default: until the stream's keys are renewed)."`
}

// Run prints one token. The server may be running or not, or never have run.
func (t tokenCommand) Run(ctx context.Context, c console) error {
	if t.TTL < 0 {
		return fmt.Errorf("--ttl %s: give a time such as 24h", t.TTL)
	}
	claims := access.Claims{Stream: t.Stream}
	for _, scope := range t.Scope {
		claims.Scopes = append(claims.Scopes, access.Scope(scope))
	}
	if t.TTL > 0 {
		claims.Expires = time.Now().Add(t.TTL)
	}
	if t.Stream != access.AllStreams {
		name, err := siaran.ParseStreamName(t.Stream)
		if err != nil {
			return fmt.Errorf("--stream %q: %w", t.Stream, err)
		}
		if claims.KeyGeneration, err = keyGeneration(ctx, t.Data, name); err != nil {
			return err
		}
	}
	secret, _, err := access.OpenSecret(t.Data)
	if err != nil {
		return err
	}
	token, err := secret.Mint(claims)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, token)
	return err
}

// keyGeneration asks the listing, when there is one yet.
func keyGeneration(ctx context.Context, dir string, name siaran.StreamName) (int, error) {
	path := filepath.Join(dir, listingFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	db, err := listing.OpenSQLite(ctx, path)
	if err != nil {
		return 0, err
	}
	defer db.Close() // was only read
	stream, err := db.Stream(ctx, name)
	if errors.Is(err, siaran.ErrUnknownStream) {
		return 0, nil
	}
	return stream.KeyGeneration, err
}
