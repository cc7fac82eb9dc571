package web

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
)

const allMethods = "OPTIONS, GET, HEAD, POST, PATCH, DELETE"

// cors lets pages of other sites call, on errors too. No cookies are used, so no site can
// act for a visitor with more than it holds itself.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		origin := c.Request().Header.Get(echo.HeaderOrigin)
		switch {
		case len(s.cfg.AllowedOrigins) == 0 || slices.Contains(s.cfg.AllowedOrigins, "*"):
			h.Set(echo.HeaderAccessControlAllowOrigin, "*")
		case slices.Contains(s.cfg.AllowedOrigins, origin):
			h.Set(echo.HeaderAccessControlAllowOrigin, origin)
		}
		h.Add(echo.HeaderVary, echo.HeaderOrigin)
		h.Set(echo.HeaderAccessControlAllowMethods, allMethods) // on every response: some clients look for PATCH there
		h.Set(echo.HeaderAccessControlAllowHeaders, "Authorization, Content-Type, If-Match, If-None-Match, ETag, Last-Event-ID")
		h.Set(echo.HeaderAccessControlExposeHeaders, "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate, Access-Control-Allow-Methods, X-Siaran-Codec")
		err := next(c)
		if err != nil && preflight(c.Request()) && explain(err).status == http.StatusNotFound {
			return c.NoContent(http.StatusOK) // the page can read that there is nothing only if this is no error
		}
		return err
	}
}

// preflight tells whether a browser asks for a page of another site whether it may call.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get(echo.HeaderAccessControlRequestMethod) != ""
}

// options answers OPTIONS on a known address, preflight or not, without asking who it is (RFC 9725 section 4.2).
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
