package web

import (
	"context"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/internal/measure"
	"siaran/web/access"
)

// tracing is where the trace of a request to open a session is kept in the echo.Context.
const tracing = "trace"

// trace begins to follow a request to open a session, once it has been decided whether it may, and returns a context
// that brings the trace. Requests that a limit has refused are not followed, since anybody can make any number of them,
// nor are those of other servers. g is zero if the request was refused.
func (s *Server) trace(
	ctx context.Context, c echo.Context, name siaran.StreamName, g grant, began time.Time,
) (context.Context, measure.Trace) {
	if s.cfg.Tracer == nil || isChild(c) || g.claims.IsChild() {
		return ctx, measure.NoTrace
	}
	r := c.Request()
	t := s.cfg.Tracer.Begin(measure.Opening{
		Method: r.Method, Route: c.Path(), Stream: string(name), Header: r.Header, Trusted: g.fromOperator(), At: began,
	})
	t.Part("authorize", began, time.Now())
	c.Set(tracing, t)
	return measure.WithTrace(ctx, t), t
}

// fromOperator reports whether the token of a request is one that the operator has made for a broadcaster or an
// administrator. Those of viewers get around, and owners of streams with accounts make their own.
func (g grant) fromOperator() bool {
	c := g.claims
	return c.ID != "" && c.Account == "" && c.Site == "" && g.stream.Owner == "" &&
		(slices.Contains(c.Scopes, access.Publish) || slices.Contains(c.Scopes, access.Admin))
}

// traced tells the trace of a request, if there is one, how it was answered.
func traced(c echo.Context) {
	if t, ok := c.Get(tracing).(measure.Trace); ok {
		t.Answered(c.Response().Status, time.Now())
	}
}
