package signalling

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxDetail     = 300 // bytes
	maxRetryAfter = time.Hour
)

// Error is a refusal by the server.
type Error struct {
	Code       int           // HTTP status
	Detail     string        // the server's own words, on one line; may be empty
	RetryAfter time.Duration // 0 when the server does not say
}

func (e *Error) Error() string {
	text := fmt.Sprintf("the server says %d", e.Code)
	if name := http.StatusText(e.Code); name != "" {
		text += " (" + strings.ToLower(name) + ")"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool {
	return e.Code >= 500 || e.Code == http.StatusTooManyRequests || e.Code == http.StatusRequestTimeout
}

// newError reads problem+json (RFC 9457), or else the first line of plain text.
func newError(res *http.Response, body []byte) *Error {
	e := &Error{Code: res.StatusCode}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = min(time.Duration(min(seconds, 1<<20))*time.Second, maxRetryAfter)
	}
	var problem struct{ Title, Detail, Error string }
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case strings.HasSuffix(kind, "json") && json.Unmarshal(body, &problem) == nil:
		for _, text := range []string{problem.Detail, problem.Error, problem.Title} {
			if text != "" {
				e.Detail = text
				break
			}
		}
	case kind == "text/plain":
		line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
		e.Detail = string(line)
	}
	e.Detail = printable(e.Detail)
	return e
}

// printable makes a server's words fit for a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxDetail)]
}
