package whip

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody      = 256 << 10 // bytes of an answer or an error
	maxRedirects = 5
	patience     = 10 * time.Second // for one HTTP exchange
)

// ServerError is an answer of the server other than the one hoped for.
type ServerError struct {
	Code       int           // HTTP status
	Detail     string        // what the server says, in one line; may be empty
	RetryAfter time.Duration // 0 when the server does not say
}

func (e *ServerError) Error() string {
	text := fmt.Sprintf("the server says %d", e.Code)
	if name := http.StatusText(e.Code); name != "" {
		text += " (" + strings.ToLower(name) + ")"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	switch e.Code {
	case http.StatusUnauthorized:
		text += "; give a valid token with --token or SIARAN_TOKEN (siaran token makes one)"
	case http.StatusForbidden:
		text += "; the token is for another stream, or not for publishing"
	case http.StatusNotFound:
		text += "; check the URL, it is like http://host:8080/whip/cats"
	}
	return text
}

// Temporary tells whether the same request may succeed later.
func (e *ServerError) Temporary() bool {
	return e.Code >= 500 || e.Code == http.StatusTooManyRequests || e.Code == http.StatusRequestTimeout
}

// signaller is the HTTP side of a session.
type signaller struct {
	client *http.Client
	token  string
}

// newSignaller follows redirects by itself: Go's client would drop the token on the way to another host.
func newSignaller(client *http.Client, token string) *signaller {
	c := http.Client{}
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &signaller{client: &c, token: token}
}

// post trades an offer for an answer and the URL of the session (RFC 9725 section 4.2).
func (s *signaller) post(ctx context.Context, endpoint *url.URL, offer string) (answer string, session *url.URL, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range maxRedirects + 1 {
		res, body, err := s.do(ctx, http.MethodPost, endpoint, offer)
		if err != nil {
			return "", nil, err
		}
		switch res.StatusCode {
		case http.StatusCreated:
			location, err := res.Location() // resolves against the request's URL
			if err != nil {
				return "", nil, errors.New("the server names no session (its answer has no Location)")
			}
			if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "application/sdp" {
				return "", nil, fmt.Errorf("the server answers with %q instead of application/sdp: this is no WHIP endpoint", kind)
			}
			return string(body), location, nil
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			next, err := res.Location()
			if err != nil || next.Scheme != "http" && next.Scheme != "https" {
				return "", nil, errors.New("the server redirects to nowhere")
			}
			if endpoint.Scheme == "https" && next.Scheme == "http" {
				return "", nil, errors.New("the server redirects from HTTPS to plain HTTP, where the token could be read; refused")
			}
			endpoint = next
		default:
			return "", nil, newServerError(res, body)
		}
	}
	return "", nil, errors.New("the server redirects in circles")
}

// remove ends a session (RFC 9725 section 4.2). One that is gone already is no error.
func (s *signaller) remove(ctx context.Context, session *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, body, err := s.do(ctx, http.MethodDelete, session, "")
	if err != nil {
		return err
	}
	if res.StatusCode/100 == 2 || res.StatusCode == http.StatusNotFound {
		return nil
	}
	return newServerError(res, body)
}

func (s *signaller) do(ctx context.Context, method string, to *url.URL, body string) (*http.Response, []byte, error) {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), in)
	if err != nil {
		return nil, nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/sdp")
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // it repeats the URL, which is a secret for sessions
			err = wrapped.Err
		}
		return nil, nil, fmt.Errorf("%s cannot be reached: %w", to.Host, err)
	}
	defer res.Body.Close() // was read as far as it matters
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s breaks off its answer: %w", to.Host, err)
	}
	if len(text) > maxBody {
		return nil, nil, fmt.Errorf("%s answers with more than %d bytes", to.Host, maxBody)
	}
	return res, text, nil
}

// newServerError reads problem+json (RFC 9457), or else the first line of plain text.
func newServerError(res *http.Response, body []byte) *ServerError {
	e := &ServerError{Code: res.StatusCode}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(min(seconds, 3600)) * time.Second
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
	return s[:min(len(s), 300)]
}
