package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

// streamView is a stream as the list and the event stream show it.
type streamView struct {
	Name      siaran.StreamName   `json:"name"`
	Title     string              `json:"title"`
	Status    siaran.Status       `json:"status"`
	StartedAt *time.Time          `json:"startedAt"` // null unless live or interrupted
	Viewers   int                 `json:"viewers"`
	Node      string              `json:"node"`
	Video     *siaran.VideoState  `json:"video"`
	Audio     *siaran.AudioState  `json:"audio"`
	Layers    []siaran.LayerState `json:"layers"`
}

// streamDetail is a stream under its own address.
type streamDetail struct {
	streamView
	Description string            `json:"description"`
	Visibility  siaran.Visibility `json:"visibility"`
	MaxViewers  int               `json:"maxViewers"` // 0: as many as the server allows
	EmbedSites  []string          `json:"embedSites"`
	Rules       *rules            `json:"rules,omitempty"` // for other servers that have the secret
}

func viewOf(s siaran.Stream) streamView {
	v := streamView{
		Name: s.Name, Title: s.Title, Status: s.Status, Viewers: s.Viewers, Node: s.Node,
		Video: s.Video, Audio: s.Audio, Layers: s.Layers,
	}
	if v.Layers == nil {
		v.Layers = []siaran.LayerState{}
	}
	if !s.StartedAt.IsZero() && s.Status != siaran.StatusOffline {
		at := s.StartedAt.UTC().Truncate(time.Millisecond)
		v.StartedAt = &at
	}
	return v
}

func detailOf(s siaran.Stream) streamDetail {
	return streamDetail{
		streamView: viewOf(s), Description: s.Description, Visibility: s.Visibility, MaxViewers: s.MaxViewers,
		EmbedSites: s.EmbedSites.List(),
	}
}

// listStreams lists what is live, or everything. Private streams are listed only for administrators, and for an account
// that asks for its own. All other callers share an answer that may be a little old, because reads may cost money.
func (s *Server) listStreams(c echo.Context) error {
	if err := s.listLimit.take(c); err != nil {
		return err
	}
	q := siaran.StreamQuery{Limit: defaultList}
	switch status := c.QueryParam("status"); status {
	case "", "live":
	case "all":
		q.All = true
	default:
		return fail(invalidParameter, "status must be 'live' or 'all'")
	}
	if limit := c.QueryParam("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > maxList {
			return fail(invalidParameter, "limit must be a number from 1 to %d", maxList)
		}
		q.Limit = n
	}
	switch owner := c.QueryParam("owner"); owner {
	case "":
		if token := bearer(c.Request()); token != "" {
			claims, err := s.verify(c.Request().Context(), c, token)
			q.Private = err == nil && claims.IsAdmin()
		}
	case "me":
		claims, err := s.verify(c.Request().Context(), c, bearer(c.Request()))
		if err != nil {
			return err
		}
		if claims.Account == "" {
			return fail(accountNeeded, "a key owns no streams: sign in with an account")
		}
		if q.All { // listing what is live costs nothing
			if err := s.budget.spend(claims, s.cfg.Limits.Names); err != nil {
				return err
			}
		}
		q.Owner, q.Private = claims.Account, true
	default:
		return fail(invalidParameter, "owner must be 'me'")
	}
	bodies, err := s.listed(c.Request().Context(), q)
	if err != nil {
		return listingFailed(err)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return send(c, http.StatusOK, echo.MIMEApplicationJSON, listBody(bodies[:min(len(bodies), q.Limit)]))
}

// listed returns the streams that a query asks for, as JSON.
func (s *Server) listed(ctx context.Context, q siaran.StreamQuery) ([][]byte, error) {
	if !q.Private {
		return s.publicStreams(ctx, q.All)
	}
	streams, err := s.listing.Streams(ctx, q)
	return renderAll(streams), err
}

func (s *Server) showStream(c echo.Context) error {
	g, err := s.authorize(c, access.Watch)
	if err != nil {
		return err
	}
	if !g.found {
		return siaran.ErrUnknownStream
	}
	detail := detailOf(g.stream)
	if g.claims.IsChild() {
		if detail.Rules, err = s.rulesOf(g.stream); err != nil {
			return err
		}
	}
	return sendJSON(c, http.StatusOK, detail)
}
