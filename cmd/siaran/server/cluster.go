package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"siaran"
	"siaran/cluster"
	"siaran/ingest"
	"siaran/internal/measure"
	"siaran/internal/tracing"
	"siaran/internal/upstream"
	"siaran/web"
	"siaran/web/access"
)

// ClusterConfig says how the server works together with others.
type ClusterConfig struct {
	Parent      string   `placeholder:"URL"`
	FrontURL    string   `name:"front-url" placeholder:"URL"`
	Region      string   `placeholder:"NAME"`
	SecretFile  []string `name:"secret-file" placeholder:"FILE"`
	MaxChildren int      `name:"max-children" default:"64"`
}

func (c *Config) checkCluster() error {
	var wrong []error
	if c.MaxChildren == 0 {
		c.MaxChildren = 64
	}
	if c.MaxChildren < 1 {
		wrong = append(wrong, fmt.Errorf("--max-children %d: give 1 or more", c.MaxChildren))
	}
	if strings.ContainsFunc(c.Region, func(r rune) bool { return r <= ' ' || r == 0x7f }) || len(c.Region) > 50 {
		wrong = append(wrong, fmt.Errorf("--region %q: give a word of at most 50 characters, such as jakarta", c.Region))
	}
	wrong = append(wrong, c.checkFront())
	if c.Parent == "" {
		return errors.Join(wrong...)
	}
	u, err := upstream.ParseURL(c.Parent)
	switch {
	case err != nil:
		wrong = append(wrong, fmt.Errorf("--parent %w", err))
	case c.BaseURL != "" && c.BaseURL == u.String():
		wrong = append(wrong, fmt.Errorf("--parent %s: this is the server's own --base-url: give that of another server",
			c.Parent))
	case c.Listing == "firestore":
		wrong = append(wrong, errors.New("--parent is for servers with a list of their own: choose --listing sqlite"))
	default:
		c.Parent = u.String()
	}
	return errors.Join(wrong...)
}

// checkFront checks --front-url and removes slashes at its end.
func (c *Config) checkFront() error {
	if c.FrontURL == "" {
		return nil
	}
	u, err := upstream.ParseURL(c.FrontURL)
	switch {
	case err != nil:
		return fmt.Errorf("--front-url %q: give the address of all servers, such as https://live.example.org", c.FrontURL)
	case u.Scheme == "http" && strings.HasPrefix(c.BaseURL, "https:"):
		return fmt.Errorf("--front-url %q: browsers do not go there from pages of --base-url %s: give an address with https",
			c.FrontURL, c.BaseURL)
	}
	c.FrontURL = u.String()
	return nil
}

// OpenSecret opens the secret that the server shares with others, or its own in the data folder.
func (c Config) OpenSecret() (*access.Secret, error) {
	if !c.shares() {
		secret, _, err := access.OpenSecret(c.Data)
		return secret, err
	}
	secret, err := access.OpenShared(c.Data, c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	return secret, nil
}

// shares reports whether the server's secret is one that servers share.
func (c Config) shares() bool { return len(c.SecretFile) > 0 }

// rereadSecret is OpenSecret while a server runs: it makes no new secret.
func (c Config) rereadSecret() (*access.Secret, error) {
	if c.shares() {
		return c.OpenSecret()
	}
	return access.ReadSecret(c.Data)
}

// directory is what the parent says, and the way to it.
type directory struct {
	parent *upstream.Parent
	*cluster.Directory
}

// openDirectory begins to follow the parent, if there is one. From then on the server shows the parent's streams beside
// its own.
func (s *server) openDirectory() error {
	s.shown = s.listing
	if s.cfg.Parent == "" {
		return nil
	}
	cfg := upstream.Config{URL: s.cfg.Parent, Node: s.cfg.Node, Logger: s.logger.With("parent", s.cfg.Parent)}
	if s.secret.Shared() {
		cfg.Token = func(name siaran.StreamName) (string, error) { return s.secret.MintRelay(name, s.cfg.Node) }
	}
	parent, err := upstream.New(cfg)
	if err != nil {
		return fmt.Errorf("--parent %w", err)
	}
	s.directory = directory{parent, cluster.NewDirectory(parent, s.cfg.Node, cfg.Logger)}
	s.shown = cluster.NewListing(s.listing, s.hub, s.directory.Directory)
	s.closers = append(s.closers, func() error { parent.Shut(); return nil })
	s.background(s.directory.Run)
	return nil
}

// node is this server as others see it. Others send it viewers if it shares a secret and a listing with them.
func (s *server) node() siaran.Node {
	n := siaran.Node{Name: s.cfg.Node, URL: s.nodeURL(), Region: s.cfg.Region}
	if s.clustered() && n.URL != "" {
		n.Capacity = s.cfg.MaxViewers
	}
	return n
}

// clustered reports whether this server serves what is live on others that have the same listing.
func (s *server) clustered() bool { return s.neighbours != nil && s.secret.Shared() }

// openPeers makes the server one of a cluster, if it shares a secret and a listing with others.
func (s *server) openPeers() {
	if !s.clustered() {
		return
	}
	transport := upstream.NewTransport()
	s.closers = append(s.closers, func() error { transport.CloseIdleConnections(); return nil })
	s.peers = cluster.NewPeers(s.node(), s.neighbours, func(n siaran.Node) (cluster.Source, error) {
		return upstream.New(upstream.Config{
			URL: n.URL, Node: s.cfg.Node, Logger: s.logger.With("parent", n.Name), Transport: transport,
			Token: func(name siaran.StreamName) (string, error) { return s.secret.MintRelay(name, s.cfg.Node) },
		})
	}, s.logger)
	s.placer = cluster.NewPlacer(s.node())
}

// Draining reports whether the server is about to end: nobody new is sent here.
func (s *server) Draining() bool { return s.draining.Load() }

// place is web.Config.Place.
func (s *server) place(v web.Visit) web.Choice {
	origin := v.Stream.Node
	if b, err := s.hub.Broadcast(v.Stream.Name); err == nil && !b.State().Pulled {
		origin = s.cfg.Node
	}
	self := s.node()
	s.load(&self)
	s.placer.Hear(s.neighbours.Nodes(), self)
	c := s.placer.Place(cluster.Visit{
		Stream: v.Stream.Name, Origin: origin, Viewers: v.Stream.Viewers, Here: v.Here, Load: self.Viewers,
		Hops: v.Hops, Stay: v.Stay, Reaches: v.Reaches,
	})
	return web.Choice{Here: c.Here, To: c.To, RetryAfter: c.RetryAfter}
}

// openCluster makes the server an edge of its parent, or of its peers, if there are any.
func (s *server) openCluster() {
	var above cluster.Above
	switch {
	case s.cfg.Parent != "":
		above = s.directory.Directory
	case s.peers != nil:
		above = s.peers
	default:
		return
	}
	s.cluster = cluster.New(cluster.Config{
		Hub: s.hub, Above: above, Puller: puller{s.ingest, s.tracer}, Node: s.cfg.Node,
		Sessions: s.egress.Sessions, Logger: s.logger,
	})
	s.closers = append(s.closers, s.cluster.Close)
}

// puller is ingest as the cluster sees it.
type puller struct {
	*ingest.Server
	tracer *tracing.Tracer // nil if nobody wants traces
}

// Pull implements cluster.Puller.
func (p puller) Pull(
	ctx context.Context, name siaran.StreamName, layers []string,
	exchange func(ctx context.Context, offer []byte) (cluster.Session, error),
) (cluster.Pull, error) {
	trace := measure.NoTrace
	if p.tracer != nil {
		trace = p.tracer.BeginPull(string(name), time.Now())
		ctx = measure.WithTrace(ctx, trace)
	}
	pulled, err := p.Server.Pull(ctx, ingest.PullConfig{
		Stream: name, Owner: cluster.Owner, Layers: layers,
		Exchange: func(ctx context.Context, offer []byte) (ingest.PullAnswer, error) {
			session, err := exchange(ctx, offer)
			return ingest.PullAnswer{
				SDP: session.Answer, Broadcast: session.Broadcast, StartedAt: session.StartedAt,
			}, err
		},
	})
	if err != nil { // not a nil pointer in an interface
		trace.Answered(0, time.Now())
		return nil, err
	}
	trace.Answered(http.StatusCreated, time.Now())
	return pulled, nil
}
