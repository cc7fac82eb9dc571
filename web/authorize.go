package web

import (
	"context"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

// grant is what authorize has found: the stream that a request is about, and on whose behalf it is made.
type grant struct {
	stream siaran.Stream // a name that nobody has used yet is a public stream that is offline
	found  bool          // the listing knows the stream
	claims access.Claims // of the token that allows the request; zero if none was needed
	site   *siteRight    // what the site has said; nil if it was not asked
}

// target is the stream as the claims of a token are checked against it.
func (g grant) target() access.Target { return target(g.stream, g.found) }

// target describes a stream that was looked up, and found or not, for access.Claims.Check.
func target(stream siaran.Stream, found bool) access.Target {
	return access.Target{
		Stream: stream.Name, KeyGeneration: stream.KeyGeneration, Owner: stream.Owner, New: !found,
		TokenGeneration: stream.TokenGeneration,
	}
}

// authorize decides whether the token of a request gives it scope, access.Publish or access.Watch, over the stream in
// its path.
func (s *Server) authorize(c echo.Context, scope access.Scope) (grant, error) {
	name, err := streamParam(c)
	if err != nil {
		return grant{}, err
	}
	return s.authorizeFor(c.Request().Context(), c, wish{scope: scope, stream: name, token: bearer(c.Request())})
}

// wish is what a request asks for.
type wish struct {
	scope  access.Scope // access.Publish or access.Watch
	stream siaran.StreamName
	token  string // may be empty
	media  bool   // the request is about a session of media, which must be possible while the listing is unavailable
	opens  bool   // the request opens a session
}

// authorizeAfterBody is authorize for a change to a stream, called once its body has been read; wrong is what is wrong
// with the body, if anything. A client may send the body seconds after the headers. A token that is revoked in between
// must not count: it could be used to make a new, valid key.
func (s *Server) authorizeAfterBody(c echo.Context, wrong error) (grant, error) {
	if isCutOff(c, wrong) {
		return grant{}, wrong
	}
	g, err := s.authorize(c, access.Publish)
	if err == nil {
		err = wrong
	}
	return g, err
}

// isCutOff reports whether the client has gone, or was too slow, before all of the body had come: then nobody can be
// asked any more on behalf of the request.
func isCutOff(c echo.Context, wrong error) bool {
	return wrong != nil && c.Request().Context().Err() != nil
}

// authorizeFor is authorize for any stream and token. The caller learns nothing about a private stream unless its
// token allows scope.
func (s *Server) authorizeFor(ctx context.Context, c echo.Context, w wish) (grant, error) {
	if s.cfg.Admission != nil {
		return s.withSite(ctx, c, w)
	}
	return s.ownRules(ctx, c, w)
}

// ownRules decides by tokens and streams alone.
func (s *Server) ownRules(ctx context.Context, c echo.Context, w wish) (grant, error) {
	claims, tokenErr := s.verify(ctx, c, w.token)
	if w.scope != access.Watch { // a token is required: without one for this stream, nothing is looked up
		if tokenErr == nil && !claims.Concern(w.stream) {
			tokenErr = access.ErrForbidden
		}
		if tokenErr != nil {
			return grant{}, tokenErr
		}
	}
	stream, found, err := s.lookupFor(ctx, c, w, claims, tokenErr == nil)
	if err != nil {
		return grant{}, err
	}
	g := grant{stream: stream, found: found, claims: claims}
	if tokenErr == nil {
		tokenErr = claims.Check(w.scope, g.target())
	}
	if tokenErr != nil && w.scope == access.Watch && stream.Visibility == siaran.VisibilityPublic {
		g.claims = access.Claims{} // no token is needed, so a bad one counts as none: players send "Bearer undefined"
		return g, nil
	}
	if tokenErr != nil {
		return grant{}, tokenErr
	}
	return g, nil
}

// verified is the outcome of verify, kept with the request.
type verified struct {
	token  string
	claims access.Claims
	err    error
}

// verifiedKey is where verify keeps its outcome in the echo.Context.
const verifiedKey = "verified"

// verify reads a token, once per request: asking a sign-in service about an account may take seconds.
func (s *Server) verify(ctx context.Context, c echo.Context, token string) (access.Claims, error) {
	if v, ok := c.Get(verifiedKey).(verified); ok && v.token == token {
		return v.claims, v.err
	}
	claims, err := s.cfg.Tokens.Verify(ctx, token)
	c.Set(verifiedKey, verified{token, claims, err})
	return claims, err
}
