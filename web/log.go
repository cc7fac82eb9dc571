package web

import (
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
)

// logRequests writes one line per request, without query, header fields and session ids.
func (s *Server) logRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		begin := time.Now()
		if err := next(c); err != nil {
			s.onError(err, c)
		}
		s.counters.count(c, time.Since(begin))
		traced(c)
		r, status := c.Request(), c.Response().Status
		level := slog.LevelDebug
		switch {
		case status >= 500:
			level = slog.LevelWarn
		case r.Method != "GET" && r.Method != "HEAD" && r.Method != "OPTIONS":
			level = slog.LevelInfo
		}
		s.log.Log(r.Context(), level, "request", "method", method(r.Method), "path", loggedPath(c),
			"status", status, "bytes", c.Response().Size, "took", time.Since(begin).Round(time.Microsecond), "from", c.RealIP())
		return nil
	}
}

// loggedPath returns the route with its parameters, so that nothing of an address without a route is logged.
func loggedPath(c echo.Context) string {
	path := c.Path()
	if noRoute(c) {
		return "(unknown)"
	}
	for _, name := range c.ParamNames() {
		value := c.Param(name)
		switch name {
		case "session":
			value = siaran.SessionID(value).String()
		case "stream":
			if _, err := siaran.ParseStreamName(value); err != nil {
				value = "(no name)"
			}
		default:
			continue
		}
		path = strings.Replace(path, ":"+name, value, 1)
	}
	return path
}

// noRoute reports whether a request is for no route of the server, or for a method that its route does not have.
func noRoute(c echo.Context) bool { return c.Path() == "" || c.Get(echo.ContextKeyHeaderAllow) != nil }

// method bounds what a client can write into the log.
func method(m string) string { return m[:min(len(m), 16)] }

// recoverPanics answers a panic with 500. The details go to the log.
func (s *Server) recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if cause := recover(); cause != nil {
				s.log.Error("panic in a handler", "route", c.Path(), "panic", cause, "stack", string(debug.Stack()))
				err = fail(serverError, "something went wrong in the server")
			}
		}()
		return next(c)
	}
}
