package measure

import (
	"context"
	"net/http"
	"time"
)

// Trace follows one session from the request that opens it to its end. Any goroutine may call its methods, which wait
// for nothing.
type Trace interface {
	// Part tells of a part of the session, such as one of its beginning or a request that changes it, when it is over.
	Part(name string, from, to time.Time)
	// Answered tells how the request was answered; 0: in no way that is of use. There may be no session: then nothing else
	// is told.
	Answered(status int, at time.Time)
	// End tells of the session when it is over.
	End(e SessionEnd)
}

// Opening is a request to open a session.
type Opening struct {
	Method, Route, Stream string
	Header                http.Header // may have a traceparent (W3C Trace Context)
	Trusted               bool        // may decide, by its traceparent, whether the session is traced
	At                    time.Time
}

// SessionEnd is how a session went. It holds nothing with which the session could be changed, and nobody's address.
type SessionEnd struct {
	Stream, Session string // of the session's id, the first characters, as in the log
	Viewer          string // empty for a broadcaster
	Path            string // how media went; empty: it never connected
	Reason          string // one of few
	Failed          bool   // neither side wanted it
	From, To        time.Time
}

// NoTrace is of sessions that nobody follows.
var NoTrace Trace = untraced{}

type untraced struct{}

func (untraced) Part(string, time.Time, time.Time) {}
func (untraced) Answered(int, time.Time)           {}
func (untraced) End(SessionEnd)                    {}

type traceKey struct{}

// WithTrace returns a context for whoever opens the session.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf returns the trace that a context brings: NoTrace if it brings none.
func TraceOf(ctx context.Context) Trace {
	if t, ok := ctx.Value(traceKey{}).(Trace); ok {
		return t
	}
	return NoTrace
}
