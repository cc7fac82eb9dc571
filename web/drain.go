package web

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
)

// Drainer empties the server, and ends it then.
type Drainer interface {
	// Drain begins to send everybody away within a time, after which the server ends. It fails with
	// siaran.ErrDraining when that has begun already.
	Drain(within time.Duration) error
	// Undrain takes it back. It reports whether that was still possible; those who have gone stay away.
	Undrain() bool
	// Draining reports whether it is under way.
	Draining() bool
	// Left returns how much time is left, and who is still here.
	Left() (left time.Duration, children, viewers int)
	// DrainTime is how long it takes if nobody says.
	DrainTime() time.Duration
}

const maxDrain = time.Hour

type drainView struct {
	Draining bool    `json:"draining"`
	Seconds  float64 `json:"seconds"` // until the server ends
	Viewers  int     `json:"viewers"`
	Children int     `json:"children"`
}

// administering is for those alone who may do everything.
func (s *Server) administering(next echo.HandlerFunc) echo.HandlerFunc {
	return s.changing(func(c echo.Context) error {
		if err := s.isAdministrator(c); err != nil {
			return err
		}
		return next(c)
	})
}

func (s *Server) isAdministrator(c echo.Context) error {
	claims, err := s.verify(c.Request().Context(), c, bearer(c.Request()))
	if err == nil && !claims.IsAdmin() {
		err = fail(notAllowed, "this takes a token for all streams with the scope admin")
	}
	return err
}

// startDrain begins a drain, of which the body may say how long it takes. Like authorizeAfterBody it checks the token
// after it has read the body.
func (s *Server) startDrain(c echo.Context) error {
	var body struct {
		Seconds *float64 `json:"seconds"`
	}
	var wrong error
	if r := c.Request(); r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
		wrong = readJSON(c, &body)
	}
	if isCutOff(c, wrong) {
		return wrong
	}
	if err := cmp.Or(s.isAdministrator(c), wrong); err != nil {
		return err
	}
	within := s.cfg.Drainer.DrainTime()
	if body.Seconds != nil {
		if *body.Seconds < 0 || *body.Seconds > maxDrain.Seconds() {
			return fail(invalidValue, "seconds must be from 0 to %.0f", maxDrain.Seconds())
		}
		within = time.Duration(*body.Seconds * float64(time.Second))
	}
	if err := s.cfg.Drainer.Drain(within); err != nil {
		return fail(alreadyDraining, "%v", err)
	}
	return s.sendDrain(c, http.StatusAccepted)
}

func (s *Server) stopDrain(c echo.Context) error {
	if !s.cfg.Drainer.Undrain() {
		return fail(notDraining, "the server is not draining, or it is too late")
	}
	return s.sendDrain(c, http.StatusOK)
}

func (s *Server) showDrain(c echo.Context) error { return s.sendDrain(c, http.StatusOK) }

func (s *Server) sendDrain(c echo.Context, status int) error {
	left, children, viewers := s.cfg.Drainer.Left()
	return sendJSON(c, status, drainView{
		Draining: s.cfg.Drainer.Draining(), Seconds: left.Round(time.Second / 10).Seconds(),
		Viewers: viewers, Children: children,
	})
}

// errDraining is the answer to who would come to a server that drains. Those who are turned away together do not come
// back together.
func errDraining() error {
	return &failure{kind: draining, detail: siaran.ErrDraining.Error(), retryAfter: 2 + rand.N(4)}
}

// admits fails while the server drains, but for a broadcaster who comes back: broadcasters go last.
func (s *Server) admits(p *protocol, g grant) error {
	if !s.cfg.Drainer.Draining() || p.sessions == s.cfg.Ingest && s.cfg.Hub.Holds(g.stream.Name, g.claims.Owner()) {
		return nil
	}
	return errDraining()
}
