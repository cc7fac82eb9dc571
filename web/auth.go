package web

import (
	"net/http"
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

// endpointToken is bearer, or the token in the query for encoders that have no field for a header.
func endpointToken(r *http.Request) string {
	if token := bearer(r); token != "" {
		return token
	}
	return r.URL.Query().Get("token")
}

// streamParam is the stream in the path.
func streamParam(c echo.Context) (siaran.StreamName, error) {
	return siaran.ParseStreamName(c.Param("stream"))
}

// allow reads a token and tells whether it is good for scope on stream.
func (s *Server) allow(token string, scope access.Scope, stream siaran.Stream) (access.Claims, error) {
	claims, err := s.cfg.Secret.Verify(token)
	if err != nil {
		return access.Claims{}, err
	}
	return claims, claims.Check(scope, stream.Name, stream.KeyGeneration)
}

// allowWatch is allow for who wants to watch: a public stream needs no token, so one that
// is not good there is as none (players send "Bearer undefined").
func (s *Server) allowWatch(token string, stream siaran.Stream) (owner string, err error) {
	claims, err := s.allow(token, access.Watch, stream)
	if err == nil {
		return claims.Owner(), nil
	}
	if stream.Visibility == siaran.VisibilityPublic {
		return "", nil
	}
	return "", err
}

// managed is the stream in the path, for requests that need publish scope for it.
func (s *Server) managed(c echo.Context) (siaran.Stream, access.Claims, error) {
	name, err := streamParam(c)
	if err != nil {
		return siaran.Stream{}, access.Claims{}, err
	}
	stream, _, err := s.lookup(c.Request().Context(), name)
	if err != nil {
		return stream, access.Claims{}, err
	}
	claims, err := s.allow(bearer(c.Request()), access.Publish, stream)
	return stream, claims, err
}

// watched is the stream in the path, for requests that show it.
func (s *Server) watched(c echo.Context) (stream siaran.Stream, known bool, err error) {
	name, err := streamParam(c)
	if err != nil {
		return stream, false, err
	}
	stream, known, err = s.lookup(c.Request().Context(), name)
	if err != nil {
		return stream, known, err
	}
	_, err = s.allowWatch(bearer(c.Request()), stream)
	return stream, known, err
}
