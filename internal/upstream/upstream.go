// Package upstream is the HTTP side of an edge: it asks another server, the parent, for streams (WHEP, and the API that
// pages use), and follows what is live there.
//
// All answers are bounded in size and time. Redirects are followed twice at most, and never from HTTPS to plain HTTP.
package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"siaran"
	"siaran/cluster"
)

const (
	maxRedirects = 2
	maxBody      = 256 << 10 // bytes of an answer
	dialTime     = 2 * time.Second
	answerTime   = 3 * time.Second // to the first byte
	maxDetail    = 300             // bytes of the parent's own words
)

// Header fields between servers.
const (
	HeaderWay       = "Siaran-Path"      // of a request: the way that it has come; of an answer: that of the media
	HeaderNode      = "Siaran-Node"      // of an answer to a server whose token was accepted: the name of this one
	HeaderBroadcast = "Siaran-Broadcast" // of an answer to an offer: the id of the broadcast
	HeaderStarted   = "Siaran-Started"   // and when it began (RFC 3339)
)

// Config says which server is the parent. URL, Node and Logger must be set.
type Config struct {
	URL    string // such as https://origin.example.org, without a path
	Node   string // this server's name
	Logger *slog.Logger

	// Token makes a token for a stream, which says that this is a server with the same secret; nil: it has none.
	Token func(siaran.StreamName) (string, error)
	// Transport is used for all requests; nil: one of the parent's own.
	Transport http.RoundTripper
}

// Parent is a server to pull from. Its methods may be called from any goroutine.
type Parent struct {
	cfg    Config
	base   *url.URL
	client *http.Client
	trust  atomic.Int32 // whether the parent takes our tokens: a trust value
}

// What is known about whether the parent takes our tokens.
const (
	trustUnknown = iota
	trusted
	distrusted
)

var _ cluster.Parent = (*Parent)(nil)

// New makes a parent. It asks it nothing.
func New(cfg Config) (*Parent, error) {
	base, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	transport := cfg.Transport
	if transport == nil {
		transport = NewTransport()
	}
	return &Parent{cfg: cfg, base: base, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// NewTransport makes a transport for requests to other servers, which gives up early.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second}).DialContext
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = dialTime, answerTime
	t.MaxIdleConnsPerHost = 8
	return t
}

// ParseURL reads the address of a parent.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q: give the address of a server, such as https://origin.example.org", text)
	}
	return u, nil
}

// Shut closes idle connections.
func (p *Parent) Shut() { p.client.CloseIdleConnections() }

// Open implements cluster.Parent.
func (p *Parent) Open(ctx context.Context, name siaran.StreamName, offer []byte) (cluster.Session, error) {
	res, body, err := p.ask(ctx, http.MethodPost, p.base.JoinPath("whep", string(name)), name, string(offer))
	if err != nil {
		return cluster.Session{}, err
	}
	if res.StatusCode != http.StatusCreated {
		return cluster.Session{}, p.refusal(res, body)
	}
	location, err := res.Location() // resolved against the request's URL
	if err != nil || downgrade(res.Request.URL, location) {
		return cluster.Session{}, errors.New("the parent names no session that can be ended: is it a Siaran server?")
	}
	s := cluster.Session{URL: location.String(), Stream: name, Answer: body}
	if kind := contentType(res); kind != "application/sdp" {
		return s, wrongType(kind, "application/sdp")
	}
	if id := res.Header.Get(HeaderBroadcast); isID(id) {
		s.Broadcast = siaran.BroadcastID(id)
	}
	if at, err := time.Parse(time.RFC3339Nano, res.Header.Get(HeaderStarted)); err == nil && isDate(at) {
		s.StartedAt = at
	}
	if way := res.Header.Get(HeaderWay); way != "" {
		if s.Way, err = siaran.ParseWay(way); err != nil {
			return s, err
		}
	}
	return s, nil
}

// isID reports whether a text can be the id of a broadcast.
func isID(text string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, odd)
}

// Close implements cluster.Parent.
func (p *Parent) Close(ctx context.Context, s cluster.Session) {
	to, err := url.Parse(s.URL)
	if err != nil {
		return
	}
	// The token is for the stream that was asked for: which one the address names is the parent's choice.
	if _, _, err := p.once(ctx, http.MethodDelete, to, s.Stream, ""); err != nil {
		p.cfg.Logger.Debug("a session could not be ended at the parent, which will notice by itself", "error", err)
	}
}

// Stream implements cluster.Parent.
func (p *Parent) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	res, body, err := p.ask(ctx, http.MethodGet, p.base.JoinPath("api", "streams", string(name)), name, "")
	if err != nil {
		return siaran.Stream{}, err
	}
	if res.StatusCode != http.StatusOK {
		return siaran.Stream{}, p.refusal(res, body)
	}
	if kind := contentType(res); kind != "application/json" {
		return siaran.Stream{}, wrongType(kind, "application/json")
	}
	stream, err := parseStream(body)
	if err == nil && stream.Name != name {
		err = errWrongStream
	}
	return stream, err
}

// ask sends a request, and follows redirects.
func (p *Parent) ask(
	ctx context.Context, method string, to *url.URL, name siaran.StreamName, body string,
) (*http.Response, []byte, error) {
	for range maxRedirects + 1 {
		res, answer, err := p.once(ctx, method, to, name, body)
		if err != nil {
			return nil, nil, err
		}
		if !redirects(res.StatusCode, method) {
			return res, answer, nil
		}
		if to, err = target(res); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, errRedirects
}

var errRedirects = fmt.Errorf("the parent redirects more than %d times: is --parent right?", maxRedirects)

// target is where an answer redirects to.
func target(res *http.Response) (*url.URL, error) {
	to, err := res.Location()
	switch {
	case err != nil || to.Scheme != "http" && to.Scheme != "https":
		return nil, errors.New("the parent redirects to an address that is not HTTP")
	case downgrade(res.Request.URL, to):
		return nil, errors.New("the parent redirects from HTTPS to plain HTTP, which is refused")
	}
	return to, nil
}

func redirects(status int, method string) bool {
	switch status {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		return method == http.MethodGet
	}
	return false
}

func downgrade(from, to *url.URL) bool { return from.Scheme == "https" && to.Scheme != "https" }

// once sends one request and reads the answer.
func (p *Parent) once(
	ctx context.Context, method string, to *url.URL, name siaran.StreamName, body string,
) (*http.Response, []byte, error) {
	res, err := p.send(ctx, method, to, name, body)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close() // was read as far as it matters
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("the answer of %s was cut off: %w", to.Host, err)
	}
	if len(answer) > maxBody {
		return nil, nil, fmt.Errorf("%s answers with more than %d bytes: is it a Siaran server?", to.Host, maxBody)
	}
	return res, answer, nil
}

// send sends one request. The caller closes the body of the answer.
func (p *Parent) send(
	ctx context.Context, method string, to *url.URL, name siaran.StreamName, body string,
) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(HeaderWay, siaran.WayOf(ctx).Extended(p.cfg.Node).String())
	if body != "" {
		req.Header.Set("Content-Type", "application/sdp")
	}
	authorized := p.cfg.Token != nil && name != ""
	if authorized {
		token, err := p.cfg.Token(name)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := p.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // it repeats the URL, which is a secret if it is a session's
			err = wrapped.Err
		}
		return nil, fmt.Errorf("%s cannot be reached: %w", to.Host, err)
	}
	if authorized && method != http.MethodDelete {
		p.accepted(res)
	}
	return res, nil
}

// accepted notes whether the parent has taken our token, and says so when that changes.
func (p *Parent) accepted(res *http.Response) {
	switch kind := contentType(res); {
	case redirects(res.StatusCode, http.MethodGet), res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests:
		return
	case kind != "application/json" && kind != "application/problem+json" && kind != "application/sdp":
		return
	}
	now := int32(distrusted)
	if res.Header.Get(HeaderNode) != "" {
		now = trusted
	}
	switch before := p.trust.Swap(now); {
	case before == now:
	case now == distrusted:
		p.cfg.Logger.Warn("the parent does not know this server: it gets no private streams, and counts there as a viewer",
			"remedy", "give both the same --secret-file, and look whether their clocks agree")
	case before == distrusted:
		p.cfg.Logger.Info("the parent knows this server again")
	}
}

func contentType(res *http.Response) string {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return kind
}

func wrongType(got, want string) error {
	if got == "" {
		got = "nothing"
	}
	return fmt.Errorf("the parent answers with %s instead of %s: is --parent the address of a Siaran server?",
		printable(got), want)
}

// refusal is the error for an answer that is a refusal.
func (p *Parent) refusal(res *http.Response, body []byte) error {
	var problem struct{ Detail, Code string }
	kind := contentType(res)
	if kind == "application/problem+json" {
		_ = json.Unmarshal(body, &problem) // without it there is only the status to tell
	}
	switch res.StatusCode {
	case http.StatusNotFound, http.StatusConflict, http.StatusUnauthorized, http.StatusForbidden:
		if kind != "application/problem+json" {
			return wrongType(kind, "application/problem+json")
		}
		switch {
		case res.StatusCode == http.StatusConflict:
			return siaran.ErrNotLive
		case res.StatusCode != http.StatusNotFound && p.cfg.Token != nil: // other secrets, or clocks that disagree
			return cluster.ErrHidden
		}
		return siaran.ErrUnknownStream // also if it exists: not for this server
	case http.StatusLoopDetected:
		if problem.Code == "too-far" {
			return siaran.ErrTooFar
		}
		return siaran.ErrLoop
	}
	text := fmt.Sprintf("the parent says %d", res.StatusCode)
	if name := http.StatusText(res.StatusCode); name != "" {
		text += " (" + strings.ToLower(name) + ")"
	}
	if problem.Detail != "" {
		text += ": " + printable(problem.Detail)
	}
	return errors.New(text)
}

// printable makes a server's words fit for a log.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxDetail)]
}
