package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"time"

	"siaran"
	"siaran/egress"
	"siaran/ingest"
	"siaran/internal/admin"
	"siaran/internal/metrics"
	"siaran/listing/firestore"
)

// DefaultAdminListen is the default of --admin-listen. The server starts without it if another program has the port.
const DefaultAdminListen = "127.0.0.1:9180"

const maxMetricsStreams = 1000

// AdminConfig holds the settings of what is for operators alone.
type AdminConfig struct {
	AdminListen    string `name:"admin-listen" default:"${admin_listen}" placeholder:"ADDRESS"`
	MetricsStreams int    `name:"metrics-streams" default:"0" placeholder:"NUMBER"`

	Version string `kong:"-"` // of the program; empty: what Go knows
}

func (c AdminConfig) check() error {
	var wrong []error
	if c.AdminListen != "" {
		if err := checkAddress(c.AdminListen); err != nil {
			wrong = append(wrong, fmt.Errorf("--admin-listen %q: %w", c.AdminListen, err))
		}
	}
	if c.MetricsStreams < 0 || c.MetricsStreams > maxMetricsStreams {
		wrong = append(wrong, fmt.Errorf("--metrics-streams %d: give 0 to %d", c.MetricsStreams, maxMetricsStreams))
	}
	return errors.Join(wrong...)
}

// openAdmin opens the port for operators, if one is configured.
func (s *server) openAdmin(ctx context.Context) (err error) {
	if s.cfg.AdminListen == "" {
		return nil
	}
	var lc net.ListenConfig
	s.admin, err = lc.Listen(ctx, "tcp", s.cfg.AdminListen)
	if err != nil && inUse(err) && s.cfg.AdminListen == DefaultAdminListen {
		s.logger.Warn("another program uses the default port for operators, so there are no metrics and profiles",
			"port", DefaultAdminListen,
			"remedy", "stop that program, or choose another port with --admin-listen; --admin-listen='' switches it off",
		)
		return nil
	}
	if err != nil {
		return explainListen("admin-listen", s.cfg.AdminListen, err)
	}
	s.closers = append(s.closers, closeListener(s.admin))
	if !s.onLoopback() && !s.cfg.HTTPS() {
		s.logger.Warn("the port for operators is not on loopback and has no HTTPS: whoever can read the network there can " +
			"read admin tokens; give --admin-listen an address of loopback or of a private network")
	}
	return nil
}

// onLoopback reports whether the port for operators can be reached from this machine only.
func (s *server) onLoopback() bool { return s.admin.Addr().(*net.TCPAddr).IP.IsLoopback() }

// adminURL is the address of the port for operators, empty if it is off.
func (s *server) adminURL() string {
	if s.admin == nil {
		return ""
	}
	scheme := "http"
	if s.certs != nil && !s.onLoopback() {
		scheme = "https"
	}
	return scheme + "://" + s.admin.Addr().String()
}

// serveAdmin answers operators until ctx ends.
func (s *server) serveAdmin(ctx context.Context) error {
	cfg := admin.Config{
		Metrics: metrics.New(s.metrics()), Build: s.build(), Sessions: s.describeSessions, Logger: s.logger,
	}
	l := s.admin
	if !s.onLoopback() {
		cfg.Authorize = s.isOperator
		if t := s.tlsConfig(); t != nil {
			l = tls.NewListener(l, t)
		}
	}
	return admin.New(cfg).Serve(ctx, l)
}

var errNoAdmin = errors.New("the token is not for administrators")

// isOperator accepts only the server's own tokens: those of accounts would have to be checked over the network.
func (s *server) isOperator(token string, metrics bool) error {
	claims, err := s.secret.Verify(context.Background(), token)
	if err == nil && !claims.IsAdmin() && !(metrics && claims.MayScrape()) {
		err = errNoAdmin
	}
	return err
}

func (s *server) build() metrics.Build {
	b := metrics.Build{Version: s.cfg.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			b.Revision = setting.Value
		}
	}
	return b
}

func (s *server) metrics() metrics.Config {
	cfg := metrics.Config{
		Build: s.build(), Hub: s.hub, Ingest: s.ingest.Stats, Egress: s.egress.Stats, Port: s.socket.Stats,
		Web: s.web.Stats, Load: s.busy.State, Reporter: s.reporter.Stats, Door: s.door.Stats, Streams: s.cfg.MetricsStreams,
	}
	if s.relay != nil {
		cfg.Relay = s.relay.Stats
	}
	if s.cluster != nil {
		cfg.Cluster = s.cluster.Stats
	}
	if s.webhooks != nil {
		cfg.Webhooks = s.webhooks.Stats
	}
	if s.admission != nil {
		cfg.Admission = s.admission.Stats
	}
	if s.tracer != nil {
		cfg.Tracing = s.tracer.Stats
	}
	if db, ok := s.listing.(*firestore.Listing); ok {
		cfg.Firestore = db.Stats
	}
	return cfg
}

// sessionList is what /debug/sessions shows.
type sessionList struct {
	Node            string                `json:"node"`
	At              time.Time             `json:"at"`
	Broadcasts      []broadcastRow        `json:"broadcasts"`
	Broadcasters    []ingest.SessionState `json:"broadcasters"`
	AllBroadcasters int                   `json:"allBroadcasters"` // more than are listed if there are more than the limit
	Viewers         []egress.SessionState `json:"viewers"`
	AllViewers      int                   `json:"allViewers"`
}

type broadcastRow struct {
	Stream    siaran.StreamName   `json:"stream"`
	ID        siaran.BroadcastID  `json:"id"`
	Status    siaran.Status       `json:"status"`
	Pulled    bool                `json:"relayed"` // from another server
	StartedAt time.Time           `json:"startedAt"`
	Viewers   int                 `json:"viewers"` // those at other servers included
	Video     *siaran.VideoState  `json:"video,omitempty"`
	Audio     *siaran.AudioState  `json:"audio,omitempty"`
	Layers    []siaran.LayerState `json:"layers,omitempty"`
}

func (s *server) describeSessions(stream string, limit int) any {
	name := siaran.StreamName(stream)
	list := sessionList{Node: s.cfg.Node, At: time.Now(), Broadcasts: []broadcastRow{}}
	for _, b := range s.hub.States() {
		if len(list.Broadcasts) < limit && (name == "" || b.Stream == name) {
			list.Broadcasts = append(list.Broadcasts, broadcastRow{
				b.Stream, b.ID, b.Status, b.Pulled, b.StartedAt, b.Viewers, b.Video, b.Audio, b.Layers,
			})
		}
	}
	list.Broadcasters, list.AllBroadcasters = s.ingest.States(name, limit)
	list.Viewers, list.AllViewers = s.egress.States(name, limit)
	return list
}
