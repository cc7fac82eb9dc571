package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
)

// Leave tells all who follow live updates or have event streams that the server is about to end, and within how long
// they should come back, and ends these. From now on new sessions are refused, and so is what a page might take for the
// end of a broadcast.
func (s *Server) Leave() {
	s.leaving.Store(true)
	within := min(time.Duration(s.liveFeed.size()+s.viewerEvents.size())*s.liveFeed.joinTime, longestCome)
	s.viewerEvents.end(within)
	s.liveFeed.leave(within)
}

// Moving tells a viewer that its session is about to end because the server drains, so that it is to open another one.
func (s *Server) Moving(id siaran.SessionID) { s.viewerEvents.move(id) }

// comeBack is the data of the event "reconnect".
type comeBack struct {
	Within int64 `json:"within"` // milliseconds; by chance within this time, so that not all come together
}

func comeBackIn(d time.Duration) comeBack { return comeBack{d.Milliseconds()} }

// unlessLeaving refuses to answer questions about streams while the server ends: that it is over here says nothing
// about the stream.
func (s *Server) unlessLeaving(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		asks := r.Method == http.MethodGet || r.Method == http.MethodHead
		if s.leaving.Load() && asks && strings.HasPrefix(c.Path(), "/api/streams") {
			return siaran.ErrClosed
		}
		return next(c)
	}
}

// size is how many follow.
func (l *liveFeed) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.followers)
}

// leave sends all followers away, who should come back within this time.
func (l *liveFeed) leave(within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.over, l.back = true, within
	for f := range l.followers {
		f.ended = true
		f.poke()
	}
}

// size is how many readers there are.
func (v *viewerStreams) size() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.readers
}
