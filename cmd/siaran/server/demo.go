package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"siaran"
	"siaran/internal/demo"
	"siaran/internal/publish"
	"siaran/internal/whip"
	"siaran/web/access"
)

const (
	DemoStream = siaran.StreamName("demo")
	DemoTitle  = "Siaran demo"
	demoRetry  = 5 * time.Second
)

// listDemo returns the demo's stream. It adds the stream with a title if it does not exist yet.
func (s *server) listDemo(ctx context.Context) (siaran.Stream, error) {
	stream, err := s.listing.Stream(ctx, DemoStream)
	if errors.Is(err, siaran.ErrUnknownStream) {
		title := DemoTitle
		stream, err = s.listing.Edit(ctx, DemoStream, siaran.StreamEdit{Title: &title})
	}
	return stream, err
}

// publishDemo broadcasts the built-in clip through the public endpoint, as any client would. Its requests do not leave
// the process, because no certificate covers an address of the machine itself.
func (s *server) publishDemo(ctx context.Context) error {
	media, err := demo.Clip()
	if err != nil {
		return err
	}
	stream, err := s.listDemo(ctx)
	for err != nil { // the listing may become available later
		s.logger.Warn("the demo is waiting for the listing", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(demoRetry):
		}
		stream, err = s.listDemo(ctx)
	}
	token, err := s.secret.Mint(access.Claims{
		Stream:        string(DemoStream),
		Scopes:        []access.Scope{access.Publish},
		KeyGeneration: stream.KeyGeneration,
	})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	inside := newInsideTransport(s.door)
	defer inside.CloseIdleConnections()
	cfg := whip.Config{
		URL:    s.localURL() + "/whip/" + string(DemoStream),
		Token:  token,
		Client: &http.Client{Transport: inside},
	}
	if err := publish.Clip(ctx, cfg, media, publish.Options{Loop: true}, s.logger.With("part", "demo")); err != nil {
		s.logger.Warn("the demo has stopped", "error", err) // the server continues without it
	}
	return nil
}
