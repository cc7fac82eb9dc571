package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/internal/load"
	"siaran/web/access"
)

const (
	adminEvery   = time.Second // the overview is not made more often, however many ask
	adminStreams = 200         // in one overview
	adminNodes   = 50
	adminViewers = 500 // on one page of viewers
)

// adminBroadcast is a live stream for those who run the server.
type adminBroadcast struct {
	streamDetail
	Publisher string         `json:"publisher,omitempty"` // the account; empty: a key
	Peak      int            `json:"peak,omitempty"`      // viewers
	Total     int            `json:"total,omitempty"`
	Audience  *adminAudience `json:"audience,omitempty"` // nil: it is live on another server
	Health    any            `json:"health,omitempty"`
}

type adminAudience struct {
	Viewers    int     `json:"viewers"`
	Connecting int     `json:"connecting"`
	Children   int     `json:"children"`
	Bitrate    int     `json:"bitrate"`
	Loss       float64 `json:"loss"`      // share
	RoundTrip  float64 `json:"roundTrip"` // seconds
}

// adminNode is a server. What others do is what the listing tells.
type adminNode struct {
	Name       string     `json:"name"`
	URL        string     `json:"url,omitempty"`
	Here       bool       `json:"here"`
	Viewers    int        `json:"viewers"`
	Broadcasts int        `json:"broadcasts"`
	Use        float64    `json:"use"`              // share; 1: it takes no further viewers
	Closed     load.Cause `json:"closed,omitempty"` // why, if it is this server
}

type adminOverview struct {
	Node       string           `json:"node"`
	At         time.Time        `json:"at"`
	Nodes      []adminNode      `json:"nodes"`
	Broadcasts []adminBroadcast `json:"broadcasts"`
	Events     []adminEvent     `json:"events"`
}

// overviews keeps the newest overview, which is the same for all who may see it.
type overviews struct {
	mu   sync.Mutex
	at   time.Time
	body adminOverview
}

// admin lets only administrators through.
func (s *Server) admin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.listLimit.take(c); err != nil {
			return err
		}
		claims, err := s.verify(c.Request().Context(), c, bearer(c.Request()))
		if err != nil {
			return err
		}
		if !claims.IsAdmin() {
			return access.ErrForbidden
		}
		c.Response().Header().Set("Cache-Control", "no-store")
		return next(c)
	}
}

// showOverview tells everything that is live, and what has happened.
func (s *Server) showOverview(c echo.Context) error {
	s.overviews.mu.Lock()
	defer s.overviews.mu.Unlock()
	if now := time.Now(); now.Sub(s.overviews.at) >= adminEvery {
		ctx, cancel := context.WithTimeout(c.Request().Context(), lookupTime)
		defer cancel()
		body, err := s.overview(ctx, now)
		if err != nil {
			return listingFailed(err)
		}
		s.overviews.at, s.overviews.body = now, body
	}
	body := s.overviews.body
	body.Events = s.events.list()
	return sendJSON(c, http.StatusOK, body)
}

func (s *Server) overview(ctx context.Context, now time.Time) (adminOverview, error) {
	streams, err := s.listing.Streams(ctx, siaran.StreamQuery{Private: true, Limit: adminStreams})
	if err != nil {
		return adminOverview{}, err
	}
	o := adminOverview{Node: s.cfg.Node, At: now.UTC().Truncate(time.Millisecond)}
	o.Broadcasts = make([]adminBroadcast, len(streams))
	for i, stream := range streams {
		o.Broadcasts[i] = s.adminBroadcast(stream)
	}
	o.Nodes = s.adminNodes(ctx, streams)
	return o, nil
}

func (s *Server) adminBroadcast(stream siaran.Stream) adminBroadcast {
	a := adminBroadcast{streamDetail: detailOf(stream)}
	b, err := s.cfg.Hub.Broadcast(stream.Name)
	if err != nil {
		return a
	}
	state, sum := b.State(), s.cfg.Egress.Audience(stream.Name)
	a.Status, a.Viewers, a.Peak, a.Total = state.Status, state.Viewers, state.PeakViewers, state.TotalViewers
	if access.IsAccount(state.Owner) {
		a.Publisher = state.Owner
	}
	a.Audience = &adminAudience{
		sum.Viewers, sum.Connecting, sum.Children, sum.Bitrate, sum.Loss, sum.RoundTrip.Seconds(),
	}
	if s.cfg.Health != nil {
		if health, ok := s.cfg.Health(stream.Name); ok {
			a.Health = health
		}
	}
	return a
}

// adminNodes are this server and those that have something live.
func (s *Server) adminNodes(ctx context.Context, streams []siaran.Stream) []adminNode {
	state := s.cfg.Load()
	nodes := []adminNode{{
		Name: s.cfg.Node, URL: s.cfg.BaseURL, Here: true, Use: state.Use, Closed: state.Viewers,
	}}
	for _, stream := range streams {
		i := slices.IndexFunc(nodes, func(n adminNode) bool { return n.Name == stream.Node })
		if i < 0 {
			if len(nodes) >= adminNodes {
				continue
			}
			i = len(nodes)
			nodes = append(nodes, adminNode{Name: stream.Node})
		}
		nodes[i].Broadcasts++
		nodes[i].Viewers += stream.Viewers
	}
	for i := range nodes[1:] {
		n := &nodes[i+1]
		if known, err := s.listing.Node(ctx, n.Name); err == nil {
			n.URL, n.Viewers, n.Use = known.URL, known.Viewers, known.Use
		}
	}
	return nodes
}

// adminViewer is a viewer of this server, and how well it is served.
type adminViewer struct {
	ID        siaran.ViewerID      `json:"id"`
	JoinedAt  time.Time            `json:"joinedAt"`
	Path      string               `json:"path"`
	RID       string               `json:"rid,omitempty"`
	Width     int                  `json:"width"`
	Height    int                  `json:"height"`
	Reason    siaran.ViewingReason `json:"reason"`
	Bitrate   int                  `json:"bitrate"`
	Target    int                  `json:"targetBitrate"`
	Loss      float64              `json:"loss"`
	RoundTrip float64              `json:"roundTrip"` // seconds
}

// adminViewersOf tells how the viewers of a stream on this server are served, a page at a time.
func (s *Server) adminViewersOf(c echo.Context) error {
	name, err := streamParam(c)
	if err != nil {
		return err
	}
	skip, err := wholeNumber(c, "skip", 0, 1<<31-1)
	if err != nil {
		return err
	}
	limit, err := wholeNumber(c, "limit", 50, adminViewers)
	if err != nil {
		return err
	}
	list, total := s.cfg.Egress.Watchers(name, skip, limit)
	body := struct {
		Viewers []adminViewer `json:"viewers"`
		Total   int           `json:"total"`
	}{make([]adminViewer, len(list)), total}
	for i, w := range list {
		body.Viewers[i] = adminViewer{
			ID: w.ID, JoinedAt: w.JoinedAt.UTC().Truncate(time.Millisecond), Path: w.Path,
			RID: w.RID, Width: w.Width, Height: w.Height, Reason: w.Reason,
			Bitrate: w.Bitrate, Target: w.Target, Loss: w.Loss, RoundTrip: w.RoundTrip.Seconds(),
		}
	}
	return sendJSON(c, http.StatusOK, body)
}

// wholeNumber reads a parameter of the query from 0 to most.
func wholeNumber(c echo.Context, name string, usual, most int) (int, error) {
	text := c.QueryParam(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fail(invalidParameter, "%s must be a number from 0 to %d", name, most)
	}
	return n, nil
}
