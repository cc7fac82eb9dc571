package web

import (
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"siaran/internal/measure"
)

// Stats counts what the server has answered, and who follows its live updates.
type Stats struct {
	Routes        []RouteStats
	Followers     int                          // clients of the live updates
	ViewerStreams int                          // event streams of viewers' sessions that are being read
	MaxFollowers  int                          // of either kind
	Joins         int                          // that count towards those of a second
	MaxJoins      int                          // in a second
	TooBusy       map[string]map[string]uint64 // who was refused by load.State: "viewer" or "server", and the cause
	Offers        map[string]OfferStats
	Placements    map[string]uint64 // offers of viewers, by one of Placements
}

// Placements are who serves a viewer.
var Placements = []string{placedHere, placedElsewhere, placedNowhere}

const placedHere, placedElsewhere, placedNowhere = "here", "elsewhere", "nobody"

// RouteStats counts the requests to one route. Event streams last as long as their clients want, so their Took says
// nothing.
type RouteStats struct {
	Method, Route string
	Codes         map[int]uint64 // requests by status
	Took          measure.Snapshot
}

// OfferStats are the offers of one protocol that are being answered.
type OfferStats struct{ Answering, Most int }

// routeCounters count by route. There are as many as routes and methods that the server knows.
type routeCounters struct {
	mu sync.Mutex
	by map[routeKey]*routeCounter
}

type routeKey struct{ method, route string }

type routeCounter struct {
	codes map[int]uint64
	took  *measure.Histogram
}

func newRouteCounters() *routeCounters { return &routeCounters{by: make(map[routeKey]*routeCounter)} }

// count counts a request that has been answered.
func (r *routeCounters) count(c echo.Context, took time.Duration) {
	key := routeKey{c.Request().Method, c.Path()}
	if noRoute(c) { // methods too are the client's invention
		key = routeKey{"other", "(unknown)"}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.by[key]
	if n == nil {
		n = &routeCounter{make(map[int]uint64), measure.New(measure.Joins)}
		r.by[key] = n
	}
	n.codes[c.Response().Status]++
	n.took.Observe(took)
}

func (r *routeCounters) stats() []RouteStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]RouteStats, 0, len(r.by))
	for key, n := range r.by {
		s := RouteStats{Method: key.method, Route: key.route, Codes: make(map[int]uint64), Took: n.took.Snapshot()}
		for code, count := range n.codes {
			s.Codes[code] = count
		}
		list = append(list, s)
	}
	return list
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	return Stats{
		Routes: s.counters.stats(), Followers: s.liveFeed.count(), ViewerStreams: s.viewerEvents.count(),
		MaxFollowers: s.cfg.Limits.Watchers, Joins: s.joins.used(), MaxJoins: s.cfg.Limits.Joins,
		Placements: s.placements.Snapshot(),
		TooBusy: map[string]map[string]uint64{
			"viewer": s.tooBusy.viewers.Snapshot(), "server": s.tooBusy.servers.Snapshot(),
		},
		Offers: map[string]OfferStats{
			"whip": {len(s.whipSlots), cap(s.whipSlots)}, "whep": {len(s.whepSlots), cap(s.whepSlots)},
		},
	}
}

func (l *liveFeed) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.followers)
}

func (v *viewerStreams) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.readers
}
