package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	return streamDetail{streamView: viewOf(s), Description: s.Description, Visibility: s.Visibility}
}

// listStreams shows what is live, or all that is known; private streams only to who is admin of all, and to
// an account that asks for its own. All others share an answer that may be a little old: they may ask as often as they like, and a
// database may be paid by what is read.
func (s *Server) listStreams(c echo.Context) error {
	q := siaran.StreamQuery{}
	switch status := c.QueryParam("status"); status {
	case "", "live":
	case "all":
		q.All = true
	default:
		return fail(http.StatusBadRequest, "status is 'live' or 'all'")
	}
	if limit := c.QueryParam("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > 1000 {
			return fail(http.StatusBadRequest, "limit is a number from 1 to 1000")
		}
		q.Limit = n
	}
	switch owner := c.QueryParam("owner"); owner {
	case "":
		if token := bearer(c.Request()); token != "" {
			claims, err := s.verify(c, token)
			q.Private = err == nil && claims.IsAdmin()
		}
	case "me":
		claims, err := s.verify(c, bearer(c.Request()))
		if err != nil {
			return err
		}
		if claims.Account == "" {
			return fail(http.StatusForbidden, "a key owns no streams: sign in with an account")
		}
		if q.All { // what is live costs nothing
			if err := s.reads.spend(claims, s.cfg.Limits.Names); err != nil {
				return err
			}
		}
		q.Owner, q.Private = claims.Account, true
	default:
		return fail(http.StatusBadRequest, "owner is 'me'")
	}
	q.MayLag = !q.Private
	streams, err := s.cfg.Listing.Streams(c.Request().Context(), q)
	if err != nil {
		return listingFailed(err)
	}
	body := struct {
		Streams []streamView `json:"streams"`
	}{make([]streamView, 0, len(streams))}
	for _, stream := range streams {
		body.Streams = append(body.Streams, viewOf(stream))
	}
	return sendJSON(c, http.StatusOK, body)
}

func (s *Server) showStream(c echo.Context) error {
	stream, known, err := s.watched(c)
	if err != nil {
		return err
	}
	if !known {
		return siaran.ErrUnknownStream
	}
	return sendJSON(c, http.StatusOK, detailOf(stream))
}

// What a stream's texts may have, in characters.
const (
	maxTitle       = 120
	maxDescription = 2000
)

// editStream changes title, description and visibility, and for administrators the owner; what is absent stays. It
// makes the stream when it is new.
func (s *Server) editStream(c echo.Context) error {
	stream, there, claims, err := s.manage(c)
	if err != nil {
		return err
	}
	var body struct {
		Title       *string            `json:"title"`
		Description *string            `json:"description"`
		Visibility  *siaran.Visibility `json:"visibility"`
		Owner       *string            `json:"owner"`
	}
	if err := readJSON(c, &body); err != nil {
		return err
	}
	if err := cleanText(body.Title, "title", maxTitle); err != nil {
		return err
	}
	if err := cleanText(body.Description, "description", maxDescription); err != nil {
		return err
	}
	if v := body.Visibility; v != nil && *v != siaran.VisibilityPublic && *v != siaran.VisibilityPrivate {
		return fail(http.StatusUnprocessableEntity, "visibility is 'public' or 'private'")
	}
	if body.Owner != nil {
		if !claims.IsAdmin() {
			return fail(http.StatusForbidden, "only an administrator gives a stream to another account")
		}
		if *body.Owner != "" && !access.IsAccount(*body.Owner) {
			return fail(http.StatusUnprocessableEntity, "owner is the account that keeps the stream, such as 'firebase:UID', or empty")
		}
	}
	if err := s.keep(c.Request().Context(), stream, there, claims); err != nil {
		return err
	}
	stream, err = s.cfg.Listing.Edit(c.Request().Context(), stream.Name, siaran.StreamEdit{Title: body.Title, Description: body.Description, Visibility: body.Visibility, Owner: body.Owner})
	if err != nil {
		return listingFailed(err)
	}
	return sendJSON(c, http.StatusOK, detailOf(stream))
}

// cleanText trims a text and makes its control characters spaces, but for the lines of a long text.
func cleanText(text *string, what string, limit int) error {
	if text == nil {
		return nil
	}
	*text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && (r != '\n' || limit == maxTitle) {
			return ' '
		}
		return r
	}, *text))
	if utf8.RuneCountInString(*text) > limit {
		return fail(http.StatusUnprocessableEntity, "the %s may have %d characters", what, limit)
	}
	return nil
}

// endBroadcast ends what is live under the name, whoever publishes it.
func (s *Server) endBroadcast(c echo.Context) error {
	stream, _, err := s.managed(c)
	if err != nil {
		return err
	}
	if err := s.cfg.Hub.End(stream.Name, siaran.EndByOwner); err != nil {
		if stream.Status != siaran.StatusOffline && stream.Node != s.cfg.Node {
			return fail(http.StatusConflict, "the stream is live on %s; end it there", s.whereLive(c.Request().Context(), stream.Name))
		}
		return fail(http.StatusNotFound, "%v", siaran.ErrNotLive)
	}
	return c.NoContent(http.StatusNoContent)
}

// makeKey makes a token for the stream. One for publishing makes all older ones void unless
// the body says otherwise; one for watching does not unless it says so. A token never
// outlives the one it was made with, unless that is an account's, which runs out every hour.
func (s *Server) makeKey(c echo.Context) error {
	stream, there, claims, err := s.manage(c)
	if err != nil {
		return err
	}
	var body struct {
		Scope  access.Scope `json:"scope"`
		TTL    int64        `json:"ttl"` // seconds; 0: as long as the token it is made with
		Revoke *bool        `json:"revoke"`
	}
	if c.Request().ContentLength != 0 {
		if err := readJSON(c, &body); err != nil {
			return err
		}
	}
	if body.Scope == "" {
		body.Scope = access.Publish
	}
	if body.Scope != access.Publish && body.Scope != access.Watch {
		return fail(http.StatusUnprocessableEntity, "scope is 'publish' or 'watch'")
	}
	if body.TTL < 0 || body.TTL > 10*365*24*3600 {
		return fail(http.StatusUnprocessableEntity, "ttl is in seconds and at most ten years")
	}
	if err := s.keep(c.Request().Context(), stream, there, claims); err != nil {
		return err
	}
	expires := claims.Expires
	if claims.Account != "" {
		expires = time.Time{}
	}
	if ttl := time.Now().Add(time.Duration(body.TTL) * time.Second); body.TTL > 0 && (expires.IsZero() || ttl.Before(expires)) {
		expires = ttl
	}
	revoke := body.Scope == access.Publish
	if body.Revoke != nil {
		revoke = *body.Revoke
	}
	generation := stream.KeyGeneration
	if revoke {
		if generation, err = s.cfg.Listing.RotateKeys(c.Request().Context(), stream.Name); err != nil {
			return listingFailed(err)
		}
	}
	token, err := s.cfg.Secret.Mint(access.Claims{Stream: string(stream.Name), Scopes: []access.Scope{body.Scope}, KeyGeneration: generation, Expires: expires})
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return sendJSON(c, http.StatusCreated, struct {
		Token         string            `json:"token"`
		Stream        siaran.StreamName `json:"stream"`
		Scope         access.Scope      `json:"scope"`
		ExpiresAt     *time.Time        `json:"expiresAt"`
		KeyGeneration int               `json:"keyGeneration"`
		Revoked       bool              `json:"revoked"`
	}{token, stream.Name, body.Scope, timeOrNull(expires), generation, revoke})
}

// showToken tells who holds a token what may be done with it.
func (s *Server) showToken(c echo.Context) error {
	claims, err := s.verify(c, bearer(c.Request()))
	if err != nil {
		return err
	}
	if claims.Stream != access.AllStreams {
		stream, there, err := s.lookup(c.Request().Context(), siaran.StreamName(claims.Stream))
		if err != nil {
			return err
		}
		if err := claims.Check(claims.Scopes[0], target(stream, there)); err != nil {
			return err
		}
	}
	return sendJSON(c, http.StatusOK, struct {
		Stream    string         `json:"stream"` // a name or "*"
		Scopes    []access.Scope `json:"scopes"`
		ExpiresAt *time.Time     `json:"expiresAt"`
		Account   string         `json:"account,omitempty"`
	}{claims.Stream, slices.Clone(claims.Scopes), timeOrNull(claims.Expires), claims.Account})
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// sendJSON sends what may change at any time.
func sendJSON(c echo.Context, status int, body any) error {
	if h := c.Response().Header(); h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	return c.JSON(status, body)
}
