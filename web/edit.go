package web

import (
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

// maxViewersOfStream is the highest bound on a stream's viewers.
const maxViewersOfStream = 10_000_000

// Limits of a stream's texts, in characters.
const (
	maxTitle       = 120
	maxDescription = 2000
)

// streamEdit is the body of PATCH /api/streams/NAME. What is absent stays as it is.
type streamEdit struct {
	Title       *string            `json:"title"`
	Description *string            `json:"description"`
	Visibility  *siaran.Visibility `json:"visibility"`
	Owner       *string            `json:"owner"` // administrators only
	MaxViewers  *int               `json:"maxViewers"`
	EmbedSites  *[]string          `json:"embedSites"`
}

// editStream changes what its owner decides about a stream, and for administrators the owner. It makes a new stream.
func (s *Server) editStream(c echo.Context) error {
	var edit streamEdit
	wrong := readJSON(c, &edit)
	g, err := s.authorizeAfterBody(c, wrong)
	if err != nil {
		return err
	}
	change, err := edit.clean(g.claims)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	if err := s.claimForEdit(ctx, g); err != nil {
		return err
	}
	stream, err := s.listing.Edit(ctx, g.stream.Name, change)
	if err != nil {
		return listingFailed(err)
	}
	s.events.add(eventEdited, stream.Name, "")
	s.limitViewers(stream)
	s.rights.look()
	return sendJSON(c, http.StatusOK, detailOf(stream))
}

// clean tidies the texts, and fails if there is something that these claims must not set.
func (e *streamEdit) clean(claims access.Claims) (siaran.StreamEdit, error) {
	change := siaran.StreamEdit{
		Title: e.Title, Description: e.Description, Visibility: e.Visibility, Owner: e.Owner, MaxViewers: e.MaxViewers,
	}
	if err := cleanText(e.Title, "title", maxTitle); err != nil {
		return change, err
	}
	if err := cleanText(e.Description, "description", maxDescription); err != nil {
		return change, err
	}
	if v := e.Visibility; v != nil && *v != siaran.VisibilityPublic && *v != siaran.VisibilityPrivate {
		return change, fail(invalidValue, "visibility must be 'public' or 'private'")
	}
	if n := e.MaxViewers; n != nil && (*n < 0 || *n > maxViewersOfStream) {
		return change, fail(invalidValue,
			"maxViewers must be a number up to %d, or 0 for as many as the server allows", maxViewersOfStream)
	}
	if e.EmbedSites != nil {
		sites, err := siaran.ParseEmbedSites(*e.EmbedSites)
		if err != nil {
			return change, err
		}
		change.EmbedSites = &sites
	}
	return change, e.checkOwner(claims)
}

func (e *streamEdit) checkOwner(claims access.Claims) error {
	switch {
	case e.Owner == nil:
	case !claims.IsAdmin():
		return fail(notAllowed, "only an administrator can give a stream to another account")
	case *e.Owner != "" && !access.IsAccount(*e.Owner):
		return fail(invalidValue,
			"owner must be the account that owns the stream, such as 'firebase:UID', or empty")
	}
	return nil
}

// cleanText trims a text and replaces its control characters by spaces, except line breaks in a description. It
// removes characters that override the direction of text: they would also affect what a page shows after it.
func cleanText(text *string, what string, limit int) error {
	if text == nil {
		return nil
	}
	*text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && (r != '\n' || limit == maxTitle) {
			return ' '
		}
		if r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, *text))
	if utf8.RuneCountInString(*text) > limit {
		return fail(invalidValue, "the %s is limited to %d characters", what, limit)
	}
	return nil
}

// deleteStream deletes a stream with its history, and revokes its tokens. A token for one stream is not enough: the
// name is free afterwards, and that is for its owner to decide.
func (s *Server) deleteStream(c echo.Context) error {
	g, err := s.authorize(c, access.Publish)
	if err != nil {
		return err
	}
	if !g.found {
		return siaran.ErrUnknownStream
	}
	if !g.claims.IsAdmin() && (g.claims.Account == "" || g.claims.Account != g.stream.Owner) {
		return fail(notAllowed,
			"only the account that owns the stream, or an administrator, can delete it")
	}
	_, err = s.cfg.Hub.Broadcast(g.stream.Name)
	if err == nil || errors.Is(err, siaran.ErrReturning) { // the listing may not know yet
		return siaran.ErrStreamLive
	}
	switch err := s.listing.Delete(c.Request().Context(), g.stream.Name); {
	case errors.Is(err, siaran.ErrStreamLive):
		return siaran.ErrStreamLive
	case errors.Is(err, siaran.ErrUnknownStream): // somebody else was faster
		return siaran.ErrUnknownStream
	case err != nil:
		return listingFailed(err)
	}
	s.events.add(eventDeleted, g.stream.Name, "")
	s.rights.look()
	return c.NoContent(http.StatusNoContent)
}

// endBroadcast ends whatever is live under the name, whoever publishes it.
func (s *Server) endBroadcast(c echo.Context) error {
	g, err := s.authorize(c, access.Publish)
	if err != nil {
		return err
	}
	if err := s.cfg.Hub.End(g.stream.Name, siaran.EndByOwner); err != nil {
		if g.stream.Status != siaran.StatusOffline && g.stream.Node != s.cfg.Node {
			where := s.whereLive(c.Request().Context(), g.stream.Name)
			return fail(streamLive, "the stream is live on %s; end it there", where)
		}
		return &failure{kind: notLive, instead: http.StatusNotFound, detail: siaran.ErrNotLive.Error()}
	}
	return c.NoContent(http.StatusNoContent)
}
