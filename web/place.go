package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
)

// Visit is a viewer who asks this server for a stream that is live here or elsewhere.
type Visit struct {
	Stream  siaran.Stream
	Here    bool                   // this server has it
	Hops    int                    // how often other servers have sent the viewer on
	Stay    bool                   // the viewer is a page of this server's
	Reaches func(siaran.Node) bool // whether the viewer can be sent to another server
}

// Choice is who serves a viewer: this server, another one, or nobody for now.
type Choice struct {
	Here       bool
	To         siaran.Node
	RetryAfter int // seconds
}

// place chooses who serves the viewer who makes a request. Without a cluster it is this server, and what it does not
// have is redirected to the one that does. Other servers have chosen this one.
func (s *Server) place(c echo.Context, stream siaran.Stream) Choice {
	_, err := s.cfg.Hub.Broadcast(stream.Name)
	if s.cfg.Place == nil || len(siaran.WayOf(c.Request().Context())) > 0 || err != nil && !onAir(stream) {
		return Choice{Here: true}
	}
	return s.cfg.Place(Visit{
		Stream: stream, Here: err == nil, Hops: hops(c), Stay: s.fromOwnPage(c.Request()),
		Reaches: func(n siaran.Node) bool {
			base, err := url.Parse(n.URL)
			return err == nil && s.reaches(c, base)
		},
	})
}

// placed counts a viewer whom this server does not serve.
func (s *Server) placed(choice Choice) Choice {
	switch {
	case choice.Here:
	case choice.RetryAfter > 0:
		s.placements.Count(placedNowhere)
	default:
		s.placements.Count(placedElsewhere)
	}
	return choice
}

// send answers a viewer whom this server does not serve, and reports whether that has been done.
func (choice Choice) send(c echo.Context) (bool, error) {
	switch base, err := url.Parse(choice.To.URL); {
	case choice.Here:
		return false, nil
	case choice.RetryAfter > 0:
		return true, &failure{
			kind: noRoom, retryAfter: choice.RetryAfter,
			detail: "no server has room for another viewer: try again in a moment",
		}
	case err != nil:
		return true, err
	default:
		return true, redirectTo(c, urlThere(c, base))
	}
}

// pageElsewhere returns where the page of a stream is to be loaded from instead, and whether the stream can be had
// here. Where there is no room, the page is told so by the answer to its offer.
func (s *Server) pageElsewhere(ctx context.Context, c echo.Context, stream siaran.Stream, here bool) (string, bool) {
	if s.cfg.Place == nil {
		if here {
			return "", true
		}
		return s.nodeURLFor(ctx, c, stream), false
	}
	choice := s.place(c, stream)
	if base, err := url.Parse(choice.To.URL); err == nil && choice.To.URL != "" {
		return urlThere(c, base), false
	}
	return "", here || onAir(stream)
}

// fromOwnPage reports whether a script of one of this server's pages makes a request. It cannot follow to another
// server, but the page can be loaded again from there.
func (s *Server) fromOwnPage(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	_, host, found := strings.Cut(origin, "://")
	return found && strings.EqualFold(host, r.Host) || origin != "" && strings.EqualFold(origin, s.cfg.BaseURL)
}
