package signedpost

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	maxHeaders    = 32 << 10
	maxRetryAfter = time.Hour
)

// ParseURL reads the address of a receiver.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Fragment != "":
		return nil, errors.New("give an address such as https://www.example.org/siaran")
	case u.User != nil:
		return nil, errors.New("an address with a user or password can be read in the process list: " +
			"leave it out, since the signature says who sends")
	}
	return u, nil
}

// Config is what a Poster needs.
type Config struct {
	URL       *url.URL // from ParseURL
	Secrets   Secrets
	Timeout   time.Duration // of one request, including the answer
	MaxAnswer int           // bytes of the answer's body that are read; the rest is left
	UserAgent string
	Parallel  int // connections at the same time

	Transport http.RoundTripper // nil: the network
}

// Poster sends to one receiver. Its methods may be called from any goroutine.
type Poster struct {
	cfg    Config
	client http.Client
}

// New returns a poster. It sends nothing yet.
func New(cfg Config) *Poster {
	if cfg.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = maxHeaders
		t.MaxConnsPerHost, t.MaxIdleConnsPerHost = cfg.Parallel, cfg.Parallel
		t.DisableCompression = true // a small answer could unfold to a large one
		cfg.Transport = t
	}
	return &Poster{cfg: cfg, client: http.Client{
		Transport:     cfg.Transport,
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Host names the receiver in logs: its path or query may be a secret.
func (p *Poster) Host() string { return p.cfg.URL.Host }

// Close closes idle connections.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

// Answer is what a receiver has said.
type Answer struct {
	Status     int
	Type       string        // of the body
	Body       []byte        // at most MaxAnswer bytes of it
	Whole      bool          // Body is all there was
	RetryAfter time.Duration // 0 if it did not say; at most an hour
}

// OK reports whether the receiver took the message.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Post sends one message. id stays the same when it is sent again. An error says that there was no answer; it does not
// name the address.
func (p *Poster) Post(ctx context.Context, id string, body []byte) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.cfg.URL.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", p.cfg.UserAgent)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", p.cfg.Secrets.sign(id, now, body))
	r, err := p.client.Do(req)
	if err != nil {
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		return Answer{}, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, int64(p.cfg.MaxAnswer)+1))
	whole := err == nil && len(text) <= p.cfg.MaxAnswer
	return Answer{
		Status: r.StatusCode, Type: r.Header.Get("Content-Type"), Body: text[:min(len(text), p.cfg.MaxAnswer)], Whole: whole,
		RetryAfter: retryAfter(r.Header.Get("Retry-After"), now),
	}, nil
}

// retryAfter reads the field of that name: seconds, or a date (RFC 9110 section 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(text)
	if err != nil || at.Before(now) {
		return 0
	}
	return min(at.Sub(now), maxRetryAfter)
}
