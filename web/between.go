package web

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
)

// Header fields between servers; see package upstream, which is the other side.
const (
	headerWay       = "Siaran-Path"
	headerNode      = "Siaran-Node"
	headerBroadcast = "Siaran-Broadcast"
	headerStarted   = "Siaran-Started"
)

// fromChild is the key in the echo.Context of a request that another server with our secret makes.
const fromChild = "fromChild"

// between handles what is special about the requests of other servers: they say which way they have come, and are
// refused if that is a circle, or too long.
func (s *Server) between(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		text := r.Header.Get(headerWay)
		if text == "" {
			return next(c)
		}
		way, err := siaran.ParseWay(text)
		if err != nil {
			return err
		}
		if err := way.Check(s.cfg.Node); err != nil {
			return err
		}
		c.SetRequest(r.WithContext(siaran.WithWay(r.Context(), way)))
		if claims, err := s.cfg.Secret.Verify(r.Context(), bearer(r)); err == nil && claims.IsChild() {
			c.Set(fromChild, true)
			c.Response().Header().Set(headerNode, siaran.Way{s.cfg.Node}.String())
		}
		return next(c)
	}
}

// isChild reports whether another server with our secret makes the request.
func isChild(c echo.Context) bool { return c.Get(fromChild) == true }

// checkDepth fails for the request of another server if a stream has passed too many already.
func (s *Server) checkDepth(ctx context.Context, name siaran.StreamName) error {
	if len(siaran.WayOf(ctx)) > 0 && len(s.cfg.Cluster.Way(name)) >= siaran.MaxWay {
		return siaran.ErrTooFar
	}
	return nil
}

// tellChild tells another server about the broadcast that it is going to get.
func (s *Server) tellChild(c echo.Context, name siaran.StreamName) {
	b, err := s.cfg.Hub.Broadcast(name)
	if err != nil || len(siaran.WayOf(c.Request().Context())) == 0 {
		return
	}
	state, h := b.State(), c.Response().Header()
	h.Set(headerWay, s.cfg.Cluster.Way(name).String())
	h.Set(headerBroadcast, string(state.ID))
	h.Set(headerStarted, state.StartedAt.UTC().Format(time.RFC3339Nano))
}

// rules are what another server needs to know to decide who may watch a stream.
type rules struct {
	Owner           string `json:"owner"`
	KeyGeneration   int    `json:"keyGeneration"`
	TokenGeneration int    `json:"tokenGeneration"` // of tokens for all streams
}

func (s *Server) rulesOf(stream siaran.Stream) (*rules, error) {
	r := &rules{Owner: stream.Owner, KeyGeneration: stream.KeyGeneration}
	if stream.TokenGeneration != nil { // it comes from our parent
		r.TokenGeneration = *stream.TokenGeneration
		return r, nil
	}
	var err error
	r.TokenGeneration, err = s.cfg.Secret.TokenGeneration()
	return r, err
}
