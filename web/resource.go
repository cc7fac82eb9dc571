package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/internal/sdp"
	"siaran/web/access"
)

func quoteTag(tag string) string { return `"` + tag + `"` }

// session finds the session in the path and checks the caller. Its URL is a capability, so no token is needed (RFC 9725
// section 4.7.1), but one that is sent must be right.
func (s *Server) session(c echo.Context, p *protocol) (siaran.SessionID, siaran.SessionInfo, error) {
	id := siaran.SessionID(c.Param("session"))
	info, err := p.sessions.Session(id)
	if err != nil {
		return id, info, err
	}
	if string(info.Stream) != c.Param("stream") {
		return id, info, siaran.ErrUnknownSession
	}
	if err := s.authorizeSession(c, p, info); err != nil {
		return id, info, err
	}
	return id, info, s.sessionLimit.take(string(id))
}

// authorizeSession decides whether the token of a request allows to change and end a session.
func (s *Server) authorizeSession(c echo.Context, p *protocol, info siaran.SessionInfo) error {
	token := bearer(c.Request())
	if info.Owner == "" {
		return nil // opened without a token, so one that is sent by habit means nothing
	}
	if token == "" && !s.settings.Load().StrictSessionAuth {
		return nil
	}
	ctx := c.Request().Context()
	claims, err := s.verify(ctx, c, token)
	if (err == nil || errors.Is(err, access.ErrExpired)) && claims.Owner() == info.Owner {
		return nil // whoever opened it may end it, even if the token has expired since
	}
	if s.cfg.Admission != nil && isForeign(token, err) && strings.HasPrefix(info.Owner, "site:") {
		return s.authorizeBySite(c, p, info, token)
	}
	unknown := errors.Is(err, access.ErrUnreachable) || errors.Is(err, access.ErrExpired) && claims.Owner() == ""
	if unknown && !s.settings.Load().StrictSessionAuth {
		return nil // nobody can say whose token it is or was, and the URL alone would do
	}
	_, err = s.authorizeFor(ctx, c, wish{scope: access.Publish, stream: info.Stream, token: token, media: true})
	return err
}

// authorizeBySite is authorizeSession for a token of the site's and a session that was opened with one.
func (s *Server) authorizeBySite(c echo.Context, p *protocol, info siaran.SessionInfo, token string) error {
	if !s.cfg.StrictSessionAuth {
		return nil // the URL alone would do
	}
	w := p.wish(info.Stream, token)
	w.opens = true
	g, err := s.authorizeFor(c.Request().Context(), c, w)
	if err == nil && g.claims.Owner() != info.Owner {
		err = access.ErrForbidden
	}
	return err
}

// probeSession answers GET and HEAD on a session without content (RFC 9725 section 4.1).
func (s *Server) probeSession(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		_, info, err := s.session(c, p)
		if err != nil {
			return err
		}
		c.Response().Header().Set("ETag", quoteTag(info.Tag))
		return c.NoContent(http.StatusNoContent)
	}
}

// deleteSession ends a session, whatever If-Match says (RFC 9725 sections 4.2 and 4.3.1).
func (s *Server) deleteSession(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.addressLimit.take(c); err != nil {
			return err
		}
		id, _, err := s.session(c, p)
		if err != nil {
			return err
		}
		trace, began := p.sessions.Trace(id), time.Now()
		if err := p.sessions.End(id); err != nil {
			return err
		}
		trace.Part("DELETE", began, time.Now())
		return c.NoContent(http.StatusOK)
	}
}

// patchSession takes trickled candidates and ICE restarts (RFC 9725 section 4.3).
func (s *Server) patchSession(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.addressLimit.take(c); err != nil {
			return err
		}
		id, info, err := s.session(c, p)
		if err != nil {
			return err
		}
		body, err := readBody(c, mimeFragment, maxFragment)
		if err != nil {
			c.Response().Header().Set("Accept-Patch", mimeFragment)
			return err
		}
		fragment, err := sdp.ParseFragment(body)
		if err != nil {
			return err
		}
		for {
			err := s.patch(c, p, id, info, fragment)
			if !errors.Is(err, siaran.ErrTagChanged) {
				return err
			}
			// Another PATCH has restarted ICE in the meantime: this one comes after it.
			if info, err = p.sessions.Session(id); err != nil {
				return err
			}
		}
	}
}

// patch applies a fragment to the ICE session that info describes. It fails with ErrTagChanged, and does nothing, if
// that is not the newest.
func (s *Server) patch(
	c echo.Context, p *protocol, id siaran.SessionID, info siaran.SessionInfo, fragment *sdp.Fragment,
) error {
	named := fragment.Ufrag != "" // then there is a password too
	ufragChanged := named && fragment.Ufrag != info.RemoteUfrag
	passwordChanged := named && fragment.Password != info.RemotePassword
	if ufragChanged != passwordChanged {
		return fail(malformedOffer, "only one of ice-ufrag and ice-pwd has changed: a restart changes both")
	}
	restart := ufragChanged
	if err := s.matches(c.Request().Header.Values("If-Match"), info.Tag, named && !restart); err != nil {
		return err
	}
	if !restart {
		began := time.Now()
		if err := p.sessions.AddCandidates(id, info.Tag, fragment.Candidates); err != nil {
			return err
		}
		p.sessions.Trace(id).Part("PATCH candidates", began, time.Now())
		return c.NoContent(http.StatusNoContent) // and no ETag (section 4.3.2)
	}
	if err := s.restartLimit.take(string(id)); err != nil {
		return err
	}
	began := time.Now()
	restarted, err := p.sessions.Restart(id, info.Tag, fragment)
	if err != nil {
		return err
	}
	p.sessions.Trace(id).Part("PATCH restart", began, time.Now())
	h := c.Response().Header()
	h.Set("ETag", quoteTag(restarted.Tag))
	h.Set("Cache-Control", "no-store")
	return send(c, http.StatusOK, mimeFragment, restarted.Fragment)
}

// matches checks If-Match (RFC 9110 section 13.1.1) against the tag of the session. The star may be quoted, as it is in
// RFC 9725's own example.
func (s *Server) matches(header []string, tag string, named bool) error {
	if len(header) == 0 {
		if s.settings.Load().LaxTrickle && named {
			return nil
		}
		return fail(ifMatchMissing, "If-Match is missing: send the ETag of the session, or *")
	}
	accepted := []string{"*", `"*"`, quoteTag(tag)}
	for value := range strings.SplitSeq(strings.Join(header, ","), ",") {
		if slices.Contains(accepted, strings.TrimSpace(value)) {
			return nil
		}
	}
	return fail(etagChanged, "If-Match is not the session's current ETag")
}
