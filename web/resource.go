package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

func quoteTag(tag string) string { return `"` + tag + `"` }

// session finds the session in the path and checks who asks. Its URL is a capability, so no
// token is needed (RFC 9725 section 4.7.1), but one that is sent must be right.
func (s *Server) session(c echo.Context, p *protocol) (siaran.SessionID, siaran.SessionInfo, error) {
	id := siaran.SessionID(c.Param("session"))
	info, err := p.sessions.Session(id)
	if err != nil {
		return id, info, err
	}
	if string(info.Stream) != c.Param("stream") {
		return id, info, siaran.ErrUnknownSession
	}
	if err := s.allowSession(c, info); err != nil {
		return id, info, err
	}
	return id, info, s.sessionLimit.take(string(id))
}

func (s *Server) allowSession(c echo.Context, info siaran.SessionInfo) error {
	token := bearer(c.Request())
	if info.Owner == "" {
		return nil // opened without a token, so one that is sent by habit means nothing
	}
	if token == "" && !s.cfg.StrictSessionAuth {
		return nil
	}
	claims, err := s.verify(c, token)
	if (err == nil || errors.Is(err, access.ErrExpired)) && claims.Owner() == info.Owner {
		return nil // whoever opened it may end it, also when the token has run out meanwhile
	}
	unknown := errors.Is(err, access.ErrUnreachable) || errors.Is(err, access.ErrExpired) && claims.Owner() == ""
	if unknown && !s.cfg.StrictSessionAuth {
		return nil // whose token it is or was cannot be told, and without one it would do
	}
	if err != nil {
		return err
	}
	stream, there, err := s.rulesOf(c.Request().Context(), info.Stream)
	if err != nil {
		return err
	}
	return claims.Check(access.Publish, target(stream, there))
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

// deleteSession ends a session; whatever If-Match says (RFC 9725 sections 4.2 and 4.3.1).
func (s *Server) deleteSession(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.addressLimit.take(source(c.RealIP())); err != nil {
			return err
		}
		id, _, err := s.session(c, p)
		if err != nil {
			return err
		}
		if err := p.sessions.End(id); err != nil {
			return err
		}
		return c.NoContent(http.StatusOK)
	}
}

// patchSession takes trickled candidates (RFC 9725 section 4.3).
func (s *Server) patchSession(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.addressLimit.take(source(c.RealIP())); err != nil {
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
		fragment, err := siaran.ParseFragment(body)
		if err != nil {
			return err
		}
		ufragChanged := fragment.Ufrag != "" && fragment.Ufrag != info.RemoteUfrag
		passwordChanged := fragment.Password != "" && fragment.Password != info.RemotePassword
		restart := ufragChanged && passwordChanged
		if !restart && (ufragChanged || passwordChanged) {
			return fail(http.StatusBadRequest, "only one of ice-ufrag and ice-pwd has changed: a restart changes both")
		}
		named := fragment.Ufrag != "" && fragment.Password != "" && !restart
		if err := s.matches(c.Request().Header.Values("If-Match"), info.Tag, named); err != nil {
			return err
		}
		if restart {
			return fail(http.StatusUnprocessableEntity, "ICE restart is not possible here: open a new session") // RFC 9725 section 4.3.1
		}
		if err := p.sessions.AddCandidates(id, fragment.Candidates); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent) // and no ETag (section 4.3.2)
	}
}

// matches judges If-Match (RFC 9110 section 13.1.1) against the tag of the session. The star
// is taken with quotes too, as RFC 9725's own example has it.
func (s *Server) matches(header []string, tag string, named bool) error {
	if len(header) == 0 {
		if s.cfg.LaxTrickle && named {
			return nil
		}
		return fail(http.StatusPreconditionRequired, "If-Match is missing: send the ETag of the session, or *")
	}
	accepted := []string{"*", `"*"`, quoteTag(tag)}
	for value := range strings.SplitSeq(strings.Join(header, ","), ",") {
		if slices.Contains(accepted, strings.TrimSpace(value)) {
			return nil
		}
	}
	return fail(http.StatusPreconditionFailed, "If-Match is not the session's current ETag")
}
