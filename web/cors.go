package web

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
)

const (
	allMethods     = "OPTIONS, GET, HEAD, POST, PATCH, DELETE"
	allowedHeaders = "Authorization, Content-Type, If-Match, If-None-Match, ETag, Last-Event-ID, " +
		"Traceparent, Tracestate"
	exposedHeaders = "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate, " +
		"Access-Control-Allow-Methods, X-Siaran-Codec"
)

// cors allows pages of other sites to call, and to read errors too. No cookies are used, so no site can do more for a
// visitor than with what it holds itself.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		allowed := s.settings.Load().AllowedOrigins
		origin := c.Request().Header.Get(echo.HeaderOrigin)
		switch {
		case len(allowed) == 0 || slices.Contains(allowed, "*"):
			h.Set(echo.HeaderAccessControlAllowOrigin, "*")
		case slices.Contains(allowed, origin):
			h.Set(echo.HeaderAccessControlAllowOrigin, origin)
		}
		h.Add(echo.HeaderVary, echo.HeaderOrigin)
		h.Set(echo.HeaderAccessControlAllowMethods, allMethods) // on every response: some clients look for PATCH there
		h.Set(echo.HeaderAccessControlAllowHeaders, allowedHeaders)
		h.Set(echo.HeaderAccessControlExposeHeaders, exposedHeaders)
		err := next(c)
		if err != nil && preflight(c.Request()) && explain(err).status() == http.StatusNotFound {
			return c.NoContent(http.StatusOK) // otherwise the page cannot read the 404 of its real request
		}
		return err
	}
}

// preflight reports whether a browser asks if a page of another site may call.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get(echo.HeaderAccessControlRequestMethod) != ""
}

// options answers OPTIONS on a known address, preflight or not, without a token (RFC 9725 section 4.2).
func options(allow, accept, mime string) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderAllow, allow)
		h.Set(echo.HeaderAccessControlMaxAge, "86400")
		if accept != "" {
			h.Set(accept, mime)
		}
		return c.NoContent(http.StatusOK)
	}
}
