package main

import (
	"context"
	"errors"
	"fmt"

	"siaran/cmd/siaran/server"
	"siaran/web/access"
)

type linkCommand struct {
	Data   string `default:"./siaran-data" placeholder:"FOLDER"`
	Stream string `placeholder:"NAME"`
	server.ListingPlace
	SecretFile []string `name:"secret-file" placeholder:"FILE"`
	TTL        life     `name:"ttl" placeholder:"24h"`
	BaseURL    string   `name:"base-url" default:"http://localhost:8080" placeholder:"URL"`
}

// Run prints one link. Its token is in the fragment, which browsers do not send.
func (l linkCommand) Run(ctx context.Context, c console) error {
	if l.Stream == "" || l.Stream == access.AllStreams {
		return usageError{errors.New("--stream: give the name of the stream that the link is for")}
	}
	base, err := server.CheckBaseURL(l.BaseURL)
	if err != nil {
		return usageError{err}
	}
	token, err := tokenCommand{
		Data: l.Data, Stream: l.Stream, Scope: []string{string(access.Watch)}, ListingPlace: l.ListingPlace,
		SecretFile: l.SecretFile, TTL: l.TTL,
	}.mint(ctx, c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s/watch/%s#token=%s\n", base, l.Stream, token)
	return err
}
