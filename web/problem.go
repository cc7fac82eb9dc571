package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

// statusGone is logged if the client did not wait for an answer.
const statusGone = 499

// problem is the body of an error (RFC 9457). Error repeats Detail, for players that read that name. Code is the end of
// Type.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Error  string `json:"error"`
	Code   string `json:"code"`
}

// failure is an error of the HTTP side, with a text for the client.
type failure struct {
	kind       *problemKind
	instead    int // of the status that is usual for the kind; 0: that one
	detail     string
	retryAfter int   // seconds; 0: no Retry-After
	cause      error // for the log alone
}

func (f *failure) Error() string { return f.detail }

func (f *failure) Unwrap() error { return f.cause }

func (f *failure) status() int { return cmp.Or(f.instead, f.kind.Status) }

func fail(kind *problemKind, format string, args ...any) error {
	return &failure{kind: kind, detail: fmt.Sprintf(format, args...)}
}

// listingFailed is what clients get while the database does not answer.
func listingFailed(err error) error {
	for _, told := range []error{siaran.ErrAbove, siaran.ErrLoop, siaran.ErrTooFar, siaran.ErrParent} {
		if errors.Is(err, told) {
			return told
		}
	}
	return &failure{
		kind: listUnavailable, detail: "the list of streams does not answer; try again in a moment",
		retryAfter: 2, cause: err,
	}
}

// kinds maps errors of the domain to problems. Clients get their whole text.
var kinds = []struct {
	err        error
	kind       *problemKind
	retryAfter int
}{
	{siaran.ErrStreamName, noStreamName, 0},
	{siaran.ErrUnknownStream, noSuchStream, 0},
	{siaran.ErrUnknownSession, noSuchSession, 0},
	{siaran.ErrNotLive, notLive, 2}, // draft-ietf-wish-whep-04 section 4.3.8
	{siaran.ErrEnded, broadcastEnded, 2},
	{siaran.ErrStreamLive, streamLive, 0},
	{siaran.ErrStreamTaken, streamTaken, 0},
	{siaran.ErrContested, contested, 30},
	{siaran.ErrNotOwner, notOwner, 0},
	{siaran.ErrTakenOver, takenOver, 0},
	{siaran.ErrMalformedOffer, malformedOffer, 0},
	{siaran.ErrUnacceptable, unacceptableOffer, 0},
	{siaran.ErrTooManySessions, tooManySessions, 5},
	{siaran.ErrStreamFull, streamFull, 5},
	{siaran.ErrBanned, banned, 0},
	{siaran.ErrTooManyBans, tooManyBans, 0},
	{siaran.ErrUnidentified, unidentified, 0},
	{siaran.ErrEmbedSites, invalidValue, 0},
	{siaran.ErrShare, shareUsedUp, 5},
	{siaran.ErrClosed, shuttingDown, 1}, // it is soon back, or another one is there
	{siaran.ErrDraining, draining, 5},
	{siaran.ErrReturning, returning, 1},
	{siaran.ErrParent, parentUnavailable, 2},
	{siaran.ErrAbove, above, 0},
	{siaran.ErrWay, malformedWay, 0},
	{siaran.ErrLoop, loop, 0},
	{siaran.ErrTooFar, tooFar, 0},
	{access.ErrNoToken, tokenNeeded, 0},
	{access.ErrBadToken, invalidToken, 0},
	{access.ErrExpired, expired, 0},
	{access.ErrRevoked, revoked, 0},
	{access.ErrForbidden, notAllowed, 0},
	{access.ErrKeptByKeys, keptByKeys, 0},
	{access.ErrDisabled, accountDisabled, 0},
	{access.ErrSignedOut, signedOut, 0},
	{access.ErrUnreachable, signInUnreachable, 5},
}

// explain returns what a client is told about an error.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return &failure{kind: k.kind, detail: err.Error(), retryAfter: k.retryAfter}
		}
	}
	var large *http.MaxBytesError
	var h *echo.HTTPError
	switch {
	case errors.As(err, &large):
		detail := fmt.Sprintf("the body is limited to %d bytes", large.Limit)
		return &failure{kind: tooLarge, detail: detail}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failure{kind: tooSlow, detail: "the request came too slowly"}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{
			kind: noAnswerInTime, detail: "the server is too busy to answer in time", retryAfter: 2, cause: err,
		}
	case errors.As(err, &h) && h.Code == http.StatusNotFound:
		return &failure{kind: noSuchAddress, detail: "there is nothing at this address"}
	case errors.As(err, &h) && h.Code == http.StatusMethodNotAllowed:
		return &failure{kind: wrongMethod, detail: "this address does not support the method; see Allow"}
	}
	return &failure{kind: serverError, detail: "something went wrong in the server", cause: err}
}

// onError sends an error that a handler returned.
func (s *Server) onError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if c.Request().Context().Err() != nil && errors.Is(err, context.Canceled) {
		c.Response().Status = statusGone
		return
	}
	f := explain(err)
	status := f.status()
	if status >= 500 && f.cause != nil {
		s.log.Error("request failed", "route", c.Path(), "error", f.cause)
	}
	h := c.Response().Header()
	if f.retryAfter > 0 {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(f.retryAfter))
	}
	if status == http.StatusUnauthorized {
		challenge := "Bearer"
		if !errors.Is(err, access.ErrNoToken) {
			challenge = `Bearer error="invalid_token"` // RFC 6750 section 3
		}
		h.Set(echo.HeaderWWWAuthenticate, challenge)
	}
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	if status == http.StatusNotFound && forPeople(c.Request()) {
		s.missing(c)
		return
	}
	_ = send(c, status, problemType, f.body()) // if that fails, the client has gone
}

const problemType = "application/problem+json"

func (f *failure) body() []byte {
	body, _ := json.Marshal(problem{ // strings and an int can always be marshalled
		Type: f.kind.Address(), Title: f.kind.Title, Status: f.status(),
		Detail: f.detail, Error: f.detail, Code: f.kind.Code,
	})
	return body
}

// What the port refuses that only leads to HTTPS.
var (
	ErrHTTPSNeeded = fail(httpsNeeded, "this port only redirects to HTTPS: use the address that begins with https://")
	ErrNoPath      = fail(malformedRequest, "the address of the request is not a path")
	ErrNoHost      = fail(malformedRequest, "the Host header is not a valid host")
)

// Refuse answers with an error of this package, as the server does.
func Refuse(w http.ResponseWriter, err error) {
	f := explain(err)
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.status())
	_, _ = w.Write(f.body()) // an error means that the client has gone
}
