package web

import (
	"math/rand/v2"

	"github.com/labstack/echo/v4"

	"siaran/internal/load"
	"siaran/internal/measure"
)

const (
	leastBusy = 5 // seconds until somebody for whom the server was too busy may come again
	mostBusy  = 15
)

// tooBusy counts who was refused because the server has too much to do, by cause.
type tooBusy struct{ viewers, servers measure.Tally }

var busyWords = map[load.Cause]string{
	load.Processor: "its processors are busy",
	load.Late:      "it gets too little time of its processors",
	load.Network:   "it sends as much as it may",
	load.Buffers:   "the network takes less than it sends",
}

// roomFor fails with 503 if the server has too much to do for a new session, and choice has no other server for it.
// Existing sessions go on, whatever they ask for.
func (s *Server) roomFor(c echo.Context, choice Choice) error {
	state := s.cfg.Load()
	cause, counted := state.Viewers, &s.tooBusy.viewers
	if isChild(c) {
		cause, counted = state.Children, &s.tooBusy.servers
	}
	if cause == "" || choice.To.URL != "" {
		return nil
	}
	counted.Count(string(cause))
	return &failure{
		kind: busy, retryAfter: leastBusy + rand.IntN(mostBusy-leastBusy+1),
		detail: "the server takes nobody else for the moment, so that those who are here are served well: " +
			busyWords[cause] + "; try again in some seconds",
	}
}
