package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxBody      = 256 << 10 // bytes of an answer
	maxRedirects = 5
	httpPatience = 10 * time.Second // for one exchange
)

// statusError is a refusal.
type statusError struct {
	code   int
	detail string
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the server says %d %s", e.code, strings.ToLower(http.StatusText(e.code)))
	if e.detail != "" {
		text += ": " + e.detail
	}
	return text
}

// signaller is the HTTP side of sessions, of broadcasters and viewers alike (RFC 9725, draft-ietf-wish-whep).
type signaller struct{ client *http.Client }

func newSignaller(connections int, roots *x509.CertPool) *signaller {
	return &signaller{&http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: httpPatience}).DialContext,
			MaxIdleConnsPerHost: connections,
			MaxConnsPerHost:     connections,
			IdleConnTimeout:     time.Minute,
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     &tls.Config{RootCAs: roots},
		},
		// Go's client would drop the token on the way to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *signaller) close() { s.client.CloseIdleConnections() }

// opened is what a server gives for an offer.
type opened struct {
	answer  []byte
	session *url.URL // a secret
	links   []string // values of Link
}

// post trades an offer for an answer.
func (s *signaller) post(ctx context.Context, endpoint, token string, offer []byte) (*opened, error) {
	for range maxRedirects + 1 {
		res, body, err := s.do(ctx, http.MethodPost, endpoint, token, offer)
		if err != nil {
			return nil, err
		}
		switch res.StatusCode {
		case http.StatusCreated, http.StatusOK: // some servers forget that they have created something
			session, err := res.Location()
			if err != nil && res.StatusCode == http.StatusCreated {
				return nil, errors.New("the server names no session (its answer has no Location)")
			}
			if err != nil {
				return nil, errors.New("the server answers 200 and names no session: this is no WHIP or WHEP endpoint")
			}
			return &opened{body, session, res.Header.Values("Link")}, nil
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			next, err := res.Location()
			if err != nil || next.Scheme != "http" && next.Scheme != "https" {
				return nil, errors.New("the server redirects to nowhere")
			}
			if token != "" && res.Request.URL.Scheme == "https" && next.Scheme == "http" {
				return nil, errors.New("the server redirects from HTTPS to plain HTTP, where the token could be read")
			}
			endpoint = next.String()
		default:
			return nil, refused(res, body)
		}
	}
	return nil, errors.New("the server redirects in circles")
}

// remove ends a session.
func (s *signaller) remove(ctx context.Context, session *url.URL, token string) error {
	res, body, err := s.do(ctx, http.MethodDelete, session.String(), token, nil)
	if err != nil {
		return err
	}
	if res.StatusCode/100 == 2 || res.StatusCode == http.StatusNotFound {
		return nil
	}
	return refused(res, body)
}

func (s *signaller) do(ctx context.Context, method, to, token string, body []byte) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, httpPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(string(body)))
	if err != nil {
		return nil, nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/sdp")
		req.Header.Set("Accept", "application/sdp")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // it repeats the URL, which is a secret for sessions
			err = wrapped.Err
		}
		return nil, nil, fmt.Errorf("%s cannot be reached: %w", req.URL.Host, err)
	}
	defer res.Body.Close() // was read as far as it matters
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s breaks off its answer: %w", req.URL.Host, err)
	}
	if len(text) > maxBody {
		return nil, nil, fmt.Errorf("%s answers with more than %d bytes", req.URL.Host, maxBody)
	}
	return res, text, nil
}

// refused keeps the first printable words of what the server says.
func refused(res *http.Response, body []byte) *statusError {
	words := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd {
			return ' '
		}
		return r
	}, string(body[:min(len(body), 400)]))
	words = strings.Join(strings.Fields(words), " ")
	return &statusError{code: res.StatusCode, detail: words[:min(len(words), 200)]}
}
