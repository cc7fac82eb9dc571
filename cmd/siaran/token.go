package main

import (
	"context"
	"fmt"
	"time"

	"siaran"
	"siaran/web/access"
)

type tokenCommand struct {
	Data   string   `default:"./siaran-data" placeholder:"FOLDER" help:"The server's data folder (default ${default})."`
	Stream string   `required:"" placeholder:"NAME" help:"The stream that the token is for; '*' for all."`
	Scope  []string `required:"" enum:"publish,watch,admin" help:"What it allows: publish, watch or admin; may be repeated."`
	ListingPlace
	TTL time.Duration `name:"ttl" placeholder:"24h" help:"How long it is valid (default: until the stream's keys are renewed)."`
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
		if claims.KeyGeneration, err = t.keyGeneration(ctx, name); err != nil {
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
