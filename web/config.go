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
	"siaran/web/access"
)

// Sessions are the sessions of broadcasters or of viewers. Package ingest and package egress
// have them; their errors are those of package siaran.
type Sessions interface {
	Offer(ctx context.Context, stream siaran.StreamName, owner string, offer []byte) (siaran.Answer, error)
	Session(id siaran.SessionID) (siaran.SessionInfo, error)
	AddCandidates(id siaran.SessionID, candidates []string) error
	End(id siaran.SessionID) error
}

// Viewers are the sessions of viewers, who can be sent away.
type Viewers interface {
	Sessions
	Kick(stream siaran.StreamName, viewer siaran.ViewerID) error
}

// ICEServer is a STUN or TURN server for a client (RFC 9725 section 4.6).
type ICEServer struct {
	URLs                 []string // such as turn:host:3478?transport=udp
	Username, Credential string   // both or none
}

// Limits bound what one source may ask for. Zero values take the defaults.
type Limits struct {
	Publish  Rate // POST to WHIP, by source address
	Key      Rate // POST to WHIP, by credential
	Watch    Rate // POST to WHEP, by source address: a school watches from one
	Session  Rate // PATCH and DELETE, by session
	Address  Rate // PATCH, DELETE and changes through the API, by source address
	ICE      Rate // GET of ICE servers, by source address
	Reader   Rate // streams that are read where that costs the owner, by source address of who has no key
	Readers  Rate // of all of them together
	Account  Rate // streams that are read where that costs the owner, by account
	Watchers int  // clients of the event stream
	Names    int  // streams that one account keeps, at most 1000
}

// Rate is how often something may be done.
type Rate struct {
	PerSecond rate.Limit
	Burst     int
}

// Config is what New needs. Fields without a comment on their default must be set.
type Config struct {
	Hub     *siaran.Hub
	Listing siaran.Listing
	Ingest  Sessions
	Egress  Viewers
	Secret  *access.Secret       // makes tokens
	Tokens  access.TokenVerifier // reads them; nil: Secret, which takes its own only
	Node    string               // this server's name in the listing
	SignIn  *SignIn              // how the studio signs people in; nil: it does not

	// Health is what the server knows of a broadcaster's sending, as JSON; nil: nothing is known.
	Health func(siaran.StreamName) (any, bool)
	// Ready is nil or the reason, in plain words, for which no new sessions should be sent here; nil: only the listing is asked.
	Ready func(context.Context) error
	// ICEServers are announced to a session, or to who asks without one (empty id). host is what the client
	// calls this server, without a port, as its request says: fit for a URL, and empty where it says junk. nil: none are announced.
	ICEServers func(id siaran.SessionID, host string) []ICEServer

	BaseURL        string         // public URL of the server, without a slash at the end; empty: Location is a path
	AllowedOrigins []string       // pages of other sites that may call; none named: all, as no cookies are used
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	Logger         *slog.Logger   // nil: none

	HSTS              time.Duration // how long browsers are told to use HTTPS alone; 0: they are told nothing
	StrictSessionAuth bool          // a session's URL alone does not allow to change and end it (RFC 9725 section 4.7.1)
	LaxTrickle        bool          // candidates are taken without If-Match when the ICE credentials are the session's

	Limits       Limits
	DrainTimeout time.Duration // how long requests may go on after the end; 0: 5 s
}

func (c Config) checked() (Config, error) {
	if c.Hub == nil || c.Listing == nil || c.Ingest == nil || c.Egress == nil || c.Secret == nil || c.Node == "" {
		return c, errors.New("web: hub, listing, ingest, egress, secret and node must be set")
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	if c.BaseURL != "" {
		u, err := url.Parse(c.BaseURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return c, fmt.Errorf("web: the base URL %q must look like https://live.example.org", c.BaseURL)
		}
	}
	if c.SignIn != nil {
		if err := c.SignIn.Check(); err != nil {
			return c, fmt.Errorf("web: sign-in: %w", err)
		}
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
	fill(&l.Address, Rate{500, 3000})
	fill(&l.ICE, Rate{100, 3000})
	fill(&l.Reader, Rate{5, 200})
	fill(&l.Readers, Rate{20, 500})
	fill(&l.Account, Rate{20, 3000})
	if l.Names <= 0 {
		l.Names = 100
	}
	if l.Watchers <= 0 {
		l.Watchers = 10000
	}
	return l
}
