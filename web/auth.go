package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

// bearer is the token of a request, empty when there is none. The scheme's case does not
// matter (RFC 6750 section 2.1), and some players send the token without a scheme.
func bearer(r *http.Request) string {
	header := strings.TrimSpace(r.Header.Get(echo.HeaderAuthorization))
	scheme, token, found := strings.Cut(header, " ")
	if !found {
		return header
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return header // no token has a space in it: it will be refused
	}
	return strings.TrimSpace(token)
}

// oneToken refuses a request with several tokens, as others on its way might read another one than this server does.
func oneToken(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if values := c.Request().Header.Values(echo.HeaderAuthorization); len(slices.Compact(values)) > 1 {
			return fail(http.StatusBadRequest, "the request has several Authorization fields: send one")
		}
		return next(c)
	}
}

// endpointToken is bearer, or the token in the query for encoders that have no field for a header.
func endpointToken(r *http.Request) string {
	if token := bearer(r); token != "" {
		return token
	}
	return r.URL.Query().Get("token")
}

// reserved is no stream's name, as /api/streams/events tells of all of them.
const reserved = "events"

// streamName is siaran.ParseStreamName without what the addresses of this server mean otherwise.
func streamName(text string) (siaran.StreamName, error) {
	if text == reserved {
		return "", fail(http.StatusNotFound, "no stream can be called '%s': choose another name", reserved)
	}
	return siaran.ParseStreamName(text)
}

// streamParam is the stream in the path.
func streamParam(c echo.Context) (siaran.StreamName, error) {
	return streamName(c.Param("stream"))
}

// verify reads a token. It may take some seconds where tokens are of accounts that others look after.
func (s *Server) verify(c echo.Context, token string) (access.Claims, error) {
	return s.cfg.Tokens.Verify(c.Request().Context(), token)
}

// allow reads a token and tells whether it is good for scope on a stream.
func (s *Server) allow(ctx context.Context, token string, scope access.Scope, on access.Target) (access.Claims, error) {
	claims, err := s.cfg.Tokens.Verify(ctx, token)
	if err != nil {
		return access.Claims{}, err
	}
	return claims, claims.Check(scope, on)
}

// concerned reads a token that must be for the stream, which is not looked up for any other.
func (s *Server) concerned(ctx context.Context, token string, name siaran.StreamName) (access.Claims, error) {
	claims, err := s.cfg.Tokens.Verify(ctx, token)
	if err == nil && !claims.Concern(name) {
		err = access.ErrForbidden
	}
	return claims, err
}

// allowWatch is allow for who wants to watch: a public stream needs no token, so one that
// is not good there is as none (players send "Bearer undefined").
func (s *Server) allowWatch(ctx context.Context, token string, stream siaran.Stream, there bool) (access.Claims, error) {
	claims, err := s.allow(ctx, token, access.Watch, target(stream, there))
	if err != nil && stream.Visibility == siaran.VisibilityPublic {
		return access.Claims{}, nil
	}
	return claims, err
}

// managed is the stream in the path, for requests that need publish scope for it.
func (s *Server) managed(c echo.Context) (siaran.Stream, access.Claims, error) {
	stream, _, claims, err := s.manage(c)
	return stream, claims, err
}

// keep makes a new stream the account's that asks for it, once all of its request is known to be right.
func (s *Server) keep(ctx context.Context, stream siaran.Stream, there bool, claims access.Claims) error {
	if !claims.Keeps(target(stream, there)) {
		return nil
	}
	if err := s.roomFor(ctx, claims); err != nil {
		return err
	}
	switch err := s.cfg.Listing.Claim(ctx, stream.Name, s.cfg.Node, claims.Account); {
	case errors.Is(err, siaran.ErrNotOwner) || errors.Is(err, siaran.ErrStreamTaken): // another was faster
		return siaran.ErrNotOwner
	case err != nil:
		return listingFailed(err)
	}
	return nil
}

// roomFor bounds how many names an account keeps: accounts cost nothing to make, and streams stay in the listing.
func (s *Server) roomFor(ctx context.Context, claims access.Claims) error {
	if claims.IsAdmin() {
		return nil
	}
	most := s.cfg.Limits.Names
	if err := s.reads.spend(claims, most); err != nil {
		return err
	}
	kept, err := s.cfg.Listing.Streams(ctx, siaran.StreamQuery{All: true, Private: true, Owner: claims.Account, Limit: most})
	switch {
	case err != nil:
		return listingFailed(err)
	case len(kept) >= most:
		return &failure{status: http.StatusForbidden, code: "too-many-names", detail: fmt.Sprintf("an account keeps at most %d names: use one of them", most)}
	}
	return nil
}

// manage is managed, and tells whether the stream is there already.
func (s *Server) manage(c echo.Context) (stream siaran.Stream, there bool, claims access.Claims, err error) {
	name, err := streamParam(c)
	if err != nil {
		return stream, false, claims, err
	}
	ctx := c.Request().Context()
	if claims, err = s.concerned(ctx, bearer(c.Request()), name); err != nil {
		return stream, false, access.Claims{}, err
	}
	if err = s.reads.spend(claims, 1); err != nil {
		return stream, false, access.Claims{}, err
	}
	if stream, there, err = s.lookup(ctx, name); err != nil {
		return stream, there, access.Claims{}, err
	}
	return stream, there, claims, claims.Check(access.Publish, target(stream, there))
}

// watched is the stream in the path, for requests that show it.
func (s *Server) watched(c echo.Context) (stream siaran.Stream, known bool, err error) {
	name, err := streamParam(c)
	if err != nil {
		return stream, false, err
	}
	ctx, token := c.Request().Context(), bearer(c.Request())
	if stream, known, err = s.lookupFor(ctx, c, token, name); err != nil {
		return stream, known, err
	}
	_, err = s.allowWatch(ctx, token, stream, known)
	return stream, known, err
}
