package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"siaran"
	"siaran/internal/load"
	"siaran/internal/measure"
	"siaran/internal/netaddr"
	"siaran/internal/sdp"
	"siaran/web/access"
)

// Sessions are the sessions of broadcasters, in package ingest, or of viewers, in package egress. Their errors are
// those of package siaran.
type Sessions interface {
	// Offer opens a session for a client at the address from, which is not valid if limits by source do not apply.
	Offer(ctx context.Context, stream siaran.StreamName, owner string, from netip.Addr, offer []byte) (
		siaran.Answer, error)
	Session(id siaran.SessionID) (siaran.SessionInfo, error)
	AddCandidates(id siaran.SessionID, tag string, candidates []string) error
	Restart(id siaran.SessionID, tag string, fragment *sdp.Fragment) (siaran.Restarted, error)
	End(id siaran.SessionID) error
	// Trace is of a session, measure.NoTrace if nobody follows it.
	Trace(id siaran.SessionID) measure.Trace
}

// Viewers are the sessions of viewers, which can be ended one by one.
type Viewers interface {
	Sessions
	// OfferToChild is Offer for another server that passes the stream on.
	OfferToChild(ctx context.Context, stream siaran.StreamName, owner string, offer []byte) (siaran.Answer, error)
	Kick(stream siaran.StreamName, viewer siaran.ViewerID) error
	// Withdraw ends a session whose viewer may no longer watch. It fails with ErrUnknownSession.
	Withdraw(id siaran.SessionID) error
	// Ban is Kick for all sessions of a viewer, who then stays out of the broadcast. It says how many sessions these
	// were. It also fails with ErrUnidentified and ErrTooManyBans.
	Ban(stream siaran.StreamName, viewer siaran.ViewerID) (ended int, by siaran.BannedBy, err error)
	// Watchers returns some viewers of a stream, the first to come first, and how many there are.
	Watchers(stream siaran.StreamName, skip, limit int) (list []siaran.Watcher, total int)
	// Audience sums up the viewers of a stream.
	Audience(stream siaran.StreamName) siaran.AudienceSum
	// Choose says what a viewer wants to get. It fails with ErrUnknownSession, and ErrUnacceptable if that cannot be.
	Choose(id siaran.SessionID, choice siaran.LayerChoice) error
	// Viewing says what a viewer gets. It fails with ErrUnknownSession.
	Viewing(id siaran.SessionID) (siaran.Viewing, error)
}

// Tracer begins to follow sessions when they are asked for.
type Tracer interface {
	Begin(o measure.Opening) measure.Trace
}

// Cluster has streams here that are live on another server, the parent.
type Cluster interface {
	// Ensure returns when the media of a stream comes. It fails with ErrNotLive, ErrParent, ErrLoop, ErrTooFar,
	// ErrTooManySessions and ErrClosed, all of package siaran.
	Ensure(ctx context.Context, stream siaran.StreamName) error
	// Way returns the servers that a stream passes, from where it begins up to this one.
	Way(stream siaran.StreamName) siaran.Way
}

// alone is the Cluster of a server without a parent.
type alone struct{ node string }

func (alone) Ensure(context.Context, siaran.StreamName) error { return siaran.ErrNotLive }
func (a alone) Way(siaran.StreamName) siaran.Way              { return siaran.Way{a.node} }

// ICEServer is a STUN or TURN server for a client (RFC 9725 section 4.6).
type ICEServer struct {
	URLs                 []string // such as turn:host:3478?transport=udp
	Username, Credential string   // both or none
}

// Limits bound what one source, an IP address or network, may ask for. Zero values mean the defaults.
type Limits struct {
	Publish  Rate          // POST to WHIP, by source address
	Key      Rate          // POST to WHIP, by credential
	Watch    Rate          // POST to WHEP, by source address: a school watches from one
	Session  Rate          // PATCH and DELETE, by session
	Restart  Rate          // ICE restarts, by session
	Address  Rate          // PATCH, DELETE and changes through the API, by source address
	ICE      Rate          // GET of ICE servers, by source address
	Picture  Rate          // GET of key frames, by source address: each may be megabytes
	List     Rate          // GET of the list of streams, by source address
	Reader   Rate          // streams read by callers without a key, where reads cost money, by source address
	Readers  Rate          // of all such callers together
	Account  Rate          // streams read for an account, where reads cost money, by account
	Ask      Rate          // questions to Admission, by source address
	Asks     Rate          // of all callers without a token of ours together
	Watchers int           // clients of the event stream, and as many of viewers' own events
	Share    netaddr.Share // of Watchers that one source may be
	Names    int           // streams that one account may own, at most 1000

	Broadcasts int // of one account at the same time
	Viewers    int // of one stream at the same time, whatever its owner allows; 0: any number
	Joins      int // viewers that begin to join a second, whoever they are
}

// Rate is how often something may happen.
type Rate struct {
	PerSecond rate.Limit
	Burst     int
}

// Config is what New needs. Fields whose comment names no default must be set.
type Config struct {
	Hub     *siaran.Hub
	Listing siaran.Listing
	Ingest  Sessions
	Egress  Viewers
	Secret  *access.Secret       // makes tokens
	Tokens  access.TokenVerifier // verifies them; nil: Secret, which accepts only its own
	Node    string               // this server's name in the listing
	Parent  string               // URL of the server above; empty for none
	Cluster Cluster              // pulls streams from another server; nil: there is none
	Place   func(Visit) Choice   // chooses who serves a viewer; nil: the server where the stream is live
	MayMove MayMove              // says who goes on here with what is live elsewhere; nil: nobody
	Load    func() load.State    // whether the server is too busy for more; nil: it never is
	Drainer Drainer              // empties the server
	SignIn  *SignIn              // how the studio signs people in; nil: it does not

	Admission     Admission // decides too, about each who publishes and watches; nil: nobody else does
	AdmissionOpen bool      // who is allowed by our own rules comes in while Admission does not answer

	Tracer Tracer // follows sessions; nil: nobody does

	// Health returns what the server knows about a broadcaster's sending, fit for JSON; nil: nothing.
	Health func(siaran.StreamName) (any, bool)
	// Ready returns nil, or the reason in plain words why no new sessions should be sent here. nil: the listing is
	// asked.
	Ready func(context.Context) error
	// Doubt returns nil, or in plain words what is wrong with the listing, though new sessions may be sent here. nil:
	// nothing ever is.
	Doubt func(context.Context) error
	// ICEServers returns the servers to announce to a session, or before there is one (empty id). host is the name or
	// address by which the client calls this server, without a port. It is fit for a URL, and empty if the request has
	// junk there. nil: none are announced.
	ICEServers func(id siaran.SessionID, host string) []ICEServer

	BaseURL        string         // public URL of the server, without a slash at the end; empty: Location is a path
	FrontURL       string         // the same of all servers together; empty for none
	AllowedOrigins []string       // sites whose pages may call; empty: all, because no cookies are used
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	Logger         *slog.Logger   // nil: none

	HSTS              time.Duration // how long browsers are told to use only HTTPS; 0: they are told nothing
	StrictSessionAuth bool          // changing and ending a session takes more than its URL (RFC 9725 section 4.7.1)
	LaxTrickle        bool          // candidates need no If-Match if they come with the session's ICE credentials

	Limits       Limits
	DrainTimeout time.Duration // how long requests may take after the server was told to end; 0: 5 s
}

// CheckBaseURL returns the public address of a server without slashes at its end, and an error if it cannot be one.
func CheckBaseURL(text string) (string, error) {
	base := strings.TrimRight(text, "/")
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https",
		u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return base, errors.New("give something like https://live.example.org")
	case u.Path != "":
		return base, errors.New("the pages do not work below a path: give Siaran a host name of its own, " +
			"such as https://live.example.org, and let the proxy send all requests for it here")
	}
	return base, nil
}

func (c Config) checked() (Config, error) {
	if c.Hub == nil || c.Listing == nil || c.Ingest == nil || c.Egress == nil || c.Secret == nil || c.Drainer == nil ||
		c.Node == "" {
		return c, errors.New("web: hub, listing, ingest, egress, secret, drainer and node must be set")
	}
	if c.BaseURL != "" {
		var err error
		if c.BaseURL, err = CheckBaseURL(c.BaseURL); err != nil {
			return c, fmt.Errorf("web: the base URL %q: %w", c.BaseURL, err)
		}
	}
	if c.SignIn != nil {
		if err := c.SignIn.Check(); err != nil {
			return c, fmt.Errorf("web: sign-in: %w", err)
		}
	}
	if c.Cluster == nil {
		c.Cluster = alone{c.Node}
	}
	if c.Load == nil {
		c.Load = func() load.State { return load.State{} }
	}
	if c.Tokens == nil {
		c.Tokens = c.Secret
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DrainTimeout <= 0 {
		c.DrainTimeout = 5 * time.Second
	}
	c.Limits = c.Limits.filled()
	return c, nil
}

func (l Limits) filled() Limits {
	fill := func(r *Rate, d Rate) {
		if r.PerSecond <= 0 || r.Burst <= 0 {
			*r = d
		}
	}
	fill(&l.Publish, Rate{50, 500})
	fill(&l.Key, Rate{20, 200})
	fill(&l.Watch, Rate{500, 3000})
	fill(&l.Session, Rate{20, 100})
	fill(&l.Restart, Rate{0.5, 10})
	fill(&l.Address, Rate{500, 3000})
	fill(&l.ICE, Rate{100, 3000})
	fill(&l.Picture, Rate{100, 1000})
	fill(&l.List, Rate{500, 5000})
	fill(&l.Reader, Rate{5, 200})
	fill(&l.Readers, Rate{20, 500})
	fill(&l.Account, Rate{20, 3000})
	fill(&l.Ask, Rate{50, 1000})
	fill(&l.Asks, Rate{300, 5000})
	if l.Names <= 0 {
		l.Names = 100
	}
	if l.Broadcasts <= 0 {
		l.Broadcasts = 4
	}
	if l.Joins <= 0 {
		l.Joins = 250
	}
	if l.Watchers <= 0 {
		l.Watchers = 10000
	}
	return l
}
