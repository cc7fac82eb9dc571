package web

import (
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

// problem is the body of an error (RFC 9457). Error repeats Detail, for players that read that name.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Error  string `json:"error"`
	Code   string `json:"code,omitempty"` // for pages that have more to say than the status
}

// failure is an error of the HTTP side, with its status and a text for the client.
type failure struct {
	status     int
	detail     string
	retryAfter int // seconds; 0: no Retry-After
	code       string
	cause      error // for the log alone
}

func (f *failure) Error() string { return f.detail }

func (f *failure) Unwrap() error { return f.cause }

func fail(status int, format string, args ...any) error {
	return &failure{status: status, detail: fmt.Sprintf(format, args...)}
}

// listingFailed is what clients get while the database does not answer.
func listingFailed(err error) error {
	for _, told := range []error{siaran.ErrAbove, siaran.ErrLoop, siaran.ErrTooFar, siaran.ErrParent} {
		if errors.Is(err, told) {
			return told
		}
	}
	return &failure{
		status: http.StatusServiceUnavailable, detail: "the list of streams does not answer; try again in a moment",
		retryAfter: 2, cause: err,
	}
}

// statuses maps errors of the domain to HTTP. Clients get their whole text.
var statuses = []struct {
	err        error
	status     int
	retryAfter int
}{
	{siaran.ErrStreamName, http.StatusNotFound, 0},
	{siaran.ErrUnknownStream, http.StatusNotFound, 0},
	{siaran.ErrUnknownSession, http.StatusNotFound, 0},
	{siaran.ErrNotLive, http.StatusConflict, 2}, // draft-ietf-wish-whep-04 section 4.3.8
	{siaran.ErrEnded, http.StatusConflict, 2},
	{siaran.ErrStreamLive, http.StatusConflict, 0},
	{siaran.ErrStreamTaken, http.StatusConflict, 0},
	{siaran.ErrContested, http.StatusConflict, 30},
	{siaran.ErrNotOwner, http.StatusForbidden, 0},
	{siaran.ErrTakenOver, http.StatusConflict, 0},
	{siaran.ErrMalformedOffer, http.StatusBadRequest, 0},
	{siaran.ErrUnacceptable, http.StatusUnprocessableEntity, 0},
	{siaran.ErrTooManySessions, http.StatusServiceUnavailable, 5},
	{siaran.ErrStreamFull, http.StatusServiceUnavailable, 5},
	{siaran.ErrBanned, http.StatusForbidden, 0},
	{siaran.ErrTooManyBans, http.StatusConflict, 0},
	{siaran.ErrUnidentified, http.StatusConflict, 0},
	{siaran.ErrEmbedSites, http.StatusUnprocessableEntity, 0},
	{siaran.ErrShare, http.StatusTooManyRequests, 5},
	{siaran.ErrClosed, http.StatusServiceUnavailable, 1}, // it is soon back, or another one is there
	{siaran.ErrDraining, http.StatusServiceUnavailable, 5},
	{siaran.ErrReturning, http.StatusServiceUnavailable, 1},
	{siaran.ErrParent, http.StatusServiceUnavailable, 2},
	{siaran.ErrAbove, http.StatusConflict, 0},
	{siaran.ErrWay, http.StatusBadRequest, 0},
	{siaran.ErrLoop, http.StatusLoopDetected, 0},
	{siaran.ErrTooFar, http.StatusLoopDetected, 0},
	{access.ErrNoToken, http.StatusUnauthorized, 0},
	{access.ErrBadToken, http.StatusUnauthorized, 0},
	{access.ErrExpired, http.StatusUnauthorized, 0},
	{access.ErrRevoked, http.StatusUnauthorized, 0},
	{access.ErrForbidden, http.StatusForbidden, 0},
	{access.ErrKeptByKeys, http.StatusForbidden, 0},
	{access.ErrDisabled, http.StatusForbidden, 0},
	{access.ErrSignedOut, http.StatusUnauthorized, 0},
	{access.ErrUnreachable, http.StatusServiceUnavailable, 5},
}

// codes distinguish errors that have the same status, for pages.
var codes = map[error]string{
	siaran.ErrReturning:    "returning",
	siaran.ErrNotOwner:     "not-owner",
	siaran.ErrStreamFull:   "stream-full",
	siaran.ErrBanned:       "banned",
	siaran.ErrUnidentified: "unidentified",
	siaran.ErrAbove:        "above",
	siaran.ErrLoop:         "loop",
	siaran.ErrTooFar:       "too-far",
	access.ErrKeptByKeys:   "kept-by-keys",
	access.ErrExpired:      "expired",
	access.ErrDisabled:     "account-disabled",
	access.ErrSignedOut:    "signed-out",
	access.ErrUnreachable:  "sign-in-unreachable",
}

// explain returns what a client is told about an error.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return &failure{status: s.status, detail: err.Error(), retryAfter: s.retryAfter, code: codes[s.err]}
		}
	}
	var tooLarge *http.MaxBytesError
	var h *echo.HTTPError
	switch {
	case errors.As(err, &tooLarge):
		detail := fmt.Sprintf("the body is limited to %d bytes", tooLarge.Limit)
		return &failure{status: http.StatusRequestEntityTooLarge, detail: detail}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failure{status: http.StatusRequestTimeout, detail: "the request came too slowly"}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{
			status: http.StatusServiceUnavailable, detail: "the server is too busy to answer in time",
			retryAfter: 2, cause: err,
		}
	case errors.As(err, &h) && h.Code < 500:
		switch h.Code {
		case http.StatusNotFound:
			return &failure{status: h.Code, detail: "there is nothing at this address"}
		case http.StatusMethodNotAllowed:
			return &failure{status: h.Code, detail: "this address does not support the method; see Allow"}
		}
		return &failure{status: h.Code, detail: http.StatusText(h.Code)}
	}
	return &failure{
		status: http.StatusInternalServerError, detail: "something went wrong in the server", cause: err,
	}
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
	if f.status >= 500 && f.cause != nil {
		s.log.Error("request failed", "route", c.Path(), "error", f.cause)
	}
	h := c.Response().Header()
	if f.retryAfter > 0 {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(f.retryAfter))
	}
	if f.status == http.StatusUnauthorized {
		challenge := "Bearer"
		if !errors.Is(err, access.ErrNoToken) {
			challenge = `Bearer error="invalid_token"` // RFC 6750 section 3
		}
		h.Set(echo.HeaderWWWAuthenticate, challenge)
	}
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	if f.status == http.StatusNotFound && forPeople(c.Request()) {
		s.missing(c)
		return
	}
	body, _ := json.Marshal(problem{ // strings and an int can always be marshalled
		Type: "about:blank", Title: http.StatusText(f.status), Status: f.status,
		Detail: f.detail, Error: f.detail, Code: f.code,
	})
	_ = send(c, f.status, "application/problem+json", body) // if that fails, the client has gone
}
