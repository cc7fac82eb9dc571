package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

const maxViewersShown = 5000

type viewerView struct {
	ID       siaran.ViewerID `json:"id"`
	JoinedAt time.Time       `json:"joinedAt"`
	Path     string          `json:"path"` // direct or relayed
	Node     string          `json:"node"`
	Name     string          `json:"name,omitempty"` // as the site has said; only of viewers on this server
}

// listViewers lists the viewers, in the order in which they came.
func (s *Server) listViewers(c echo.Context) error {
	g, err := s.authorize(c, access.Publish)
	if err != nil {
		return err
	}
	records, err := s.listing.Viewers(c.Request().Context(), g.stream.Name)
	if err != nil {
		return listingFailed(err)
	}
	body := struct {
		Viewers []viewerView `json:"viewers"`
		Total   int          `json:"total"`
	}{make([]viewerView, 0, len(records)), len(records)}
	names := s.rights.names(g.stream.Name)
	for _, r := range records[:min(len(records), maxViewersShown)] {
		joined := r.JoinedAt.UTC().Truncate(time.Millisecond)
		body.Viewers = append(body.Viewers, viewerView{r.ID, joined, r.Path, r.Node, names[r.ID]})
	}
	return sendJSON(c, http.StatusOK, body)
}

// kickViewer ends one viewer's session. With ?ban=broadcast the viewer stays away until the broadcast is over.
func (s *Server) kickViewer(c echo.Context) error {
	g, err := s.authorize(c, access.Publish)
	if err != nil {
		return err
	}
	name, viewer := g.stream.Name, siaran.ViewerID(c.Param("viewer"))
	switch c.QueryParam("ban") {
	case "":
		if err := s.cfg.Egress.Kick(name, viewer); err != nil {
			return kickFailed(err)
		}
		s.events.add(eventKicked, name, string(viewer))
		return c.NoContent(http.StatusNoContent)
	case "broadcast":
		ended, by, err := s.cfg.Egress.Ban(name, viewer)
		if err != nil {
			return kickFailed(err)
		}
		s.events.add(eventBanned, name, string(viewer))
		return sendJSON(c, http.StatusOK, struct {
			Ended int             `json:"ended"` // sessions
			By    siaran.BannedBy `json:"by"`
		}{ended, by})
	}
	return fail(invalidParameter, "ban must be 'broadcast', or left out")
}

func kickFailed(err error) error {
	if errors.Is(err, siaran.ErrUnknownSession) {
		return fail(noSuchViewer, "there is no such viewer here")
	}
	return err
}

// health reports how well the broadcaster sends.
func (s *Server) health(c echo.Context) error {
	g, err := s.authorize(c, access.Publish)
	if err != nil {
		return err
	}
	if s.cfg.Health != nil {
		if health, ok := s.cfg.Health(g.stream.Name); ok {
			return sendJSON(c, http.StatusOK, health)
		}
	}
	return fail(noBroadcaster, "nobody publishes the stream on this server")
}

// healthz says that the process answers.
func (s *Server) healthz(c echo.Context) error {
	return sendJSON(c, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether new sessions may be sent here: whether this server can serve what it knows. A database that does
// not answer is no reason to take it away from viewers, which would happen to all servers at once.
func (s *Server) readyz(c echo.Context) error {
	if s.leaving.Load() {
		return siaran.ErrClosed
	}
	if s.cfg.Drainer.Draining() {
		return siaran.ErrDraining
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), time.Second)
	defer cancel()
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(ctx); err != nil {
			return &failure{kind: notReady, detail: err.Error(), retryAfter: 2}
		}
	} else if _, err := s.listing.Streams(ctx, siaran.StreamQuery{Limit: 1}); err != nil {
		return listingFailed(err)
	}
	state := map[string]string{"status": "ready"}
	if cause := s.cfg.Load().Viewers; cause != "" {
		state["closed"] = string(cause)
	}
	if s.cfg.Doubt != nil {
		if err := s.cfg.Doubt(ctx); err != nil {
			state["warning"] = err.Error()
		}
	}
	return sendJSON(c, http.StatusOK, state)
}
