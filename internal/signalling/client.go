// Package signalling is the HTTP side of WHIP and WHEP clients: an offer for an answer, and the end of a session
// (RFC 9725, draft-ietf-wish-whep).
package signalling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxBody      = 256 << 10 // bytes of a response
	maxRedirects = 5
	exchangeTime = 10 * time.Second // for one HTTP exchange
)

// Client talks to WHIP and WHEP endpoints with one token.
type Client struct {
	// Lenient accepts what some servers get wrong: status 200 for a session that was created, and any Content-Type.
	Lenient bool

	http  *http.Client
	token string
}

// New returns a client that uses the connections of another one; nil stands for the default client. The token may be
// empty. Redirects are followed here, because net/http drops the token on the way to another host.
func New(client *http.Client, token string) *Client {
	c := http.Client{}
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: &c, token: token}
}

// Session is what a server gives for an offer.
type Session struct {
	Answer string
	URL    *url.URL // a secret: whoever knows it can end the session
	Links  []string // the values of the Link fields; see [ICEServers]

	Redirects int // that were followed to get it
}

// Post trades an offer for an answer (RFC 9725 section 4.2). Errors include *[Error].
func (c *Client) Post(ctx context.Context, endpoint *url.URL, offer string) (*Session, error) {
	for redirects := range maxRedirects + 1 {
		res, body, err := c.do(ctx, http.MethodPost, endpoint, offer)
		if err != nil {
			return nil, err
		}
		switch {
		case res.StatusCode == http.StatusCreated, res.StatusCode == http.StatusOK && c.Lenient:
			s, err := c.session(res, body)
			if err != nil {
				return nil, err
			}
			s.Redirects = redirects
			return s, nil
		case res.StatusCode == http.StatusTemporaryRedirect, res.StatusCode == http.StatusPermanentRedirect:
			if endpoint, err = c.redirect(endpoint, res); err != nil {
				return nil, err
			}
		default:
			return nil, newError(res, body)
		}
	}
	return nil, errors.New("the server redirects in circles")
}

func (c *Client) session(res *http.Response, body []byte) (*Session, error) {
	location, err := res.Location() // resolved against the request's URL
	if err != nil {
		return nil, fmt.Errorf(
			"the server names no session (its %d response has no Location): is this a WHIP or WHEP endpoint?",
			res.StatusCode)
	}
	if c.token != "" && res.Request.URL.Scheme == "https" && location.Scheme != "https" {
		return nil, errors.New("refused a session at an address of plain HTTP, where the token could be read: " +
			"is the server's --base-url right?")
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "application/sdp" && !c.Lenient {
		return nil, fmt.Errorf("the server answers with %q instead of application/sdp: is this a WHIP or WHEP endpoint?",
			kind)
	}
	return &Session{Answer: string(body), URL: location, Links: res.Header.Values("Link")}, nil
}

func (c *Client) redirect(from *url.URL, res *http.Response) (*url.URL, error) {
	next, err := res.Location()
	if err != nil || next.Scheme != "http" && next.Scheme != "https" {
		return nil, errors.New("the server redirects to an address that is not HTTP")
	}
	if c.token != "" && from.Scheme == "https" && next.Scheme == "http" {
		return nil, errors.New("refused a redirect from HTTPS to plain HTTP, where the token could be read")
	}
	return next, nil
}

// Delete ends a session (RFC 9725 section 4.2). It is not an error if the session is gone already.
func (c *Client) Delete(ctx context.Context, session *url.URL) error {
	res, body, err := c.do(ctx, http.MethodDelete, session, "")
	if err != nil {
		return err
	}
	if res.StatusCode/100 == 2 || res.StatusCode == http.StatusNotFound {
		return nil
	}
	return newError(res, body)
}

// Links asks an endpoint for its Link fields, before there is a session (RFC 9725 section 4.6).
func (c *Client) Links(ctx context.Context, endpoint *url.URL) ([]string, error) {
	res, body, err := c.do(ctx, http.MethodOptions, endpoint, "")
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, newError(res, body)
	}
	return res.Header.Values("Link"), nil
}

func (c *Client) do(ctx context.Context, method string, to *url.URL, body string) (*http.Response, []byte, error) {
	return c.send(ctx, method, to, "application/sdp", body)
}

func (c *Client) send(
	ctx context.Context, method string, to *url.URL, contentType, body string,
) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Accept", contentType)
	}
	if method == http.MethodPatch {
		req.Header.Set("If-Match", "*") // whatever the server has made of earlier ones whose answers were lost
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // it repeats the URL, which is a secret if it is a session's
			err = wrapped.Err
		}
		return nil, nil, fmt.Errorf("%s cannot be reached: %w", to.Host, err)
	}
	defer res.Body.Close() // was read as far as it matters
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("the response of %s was cut off: %w", to.Host, err)
	}
	if len(text) > maxBody {
		return nil, nil, fmt.Errorf("%s answers with more than %d bytes", to.Host, maxBody)
	}
	return res, text, nil
}
