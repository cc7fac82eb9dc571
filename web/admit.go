package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
	"siaran/web/admission"
)

// Admission asks the operator's site who may publish and watch. Package admission has the one that is used; its errors
// are *admission.Refusal, admission.ErrNoAnswer and those of pay.
type Admission interface {
	Ask(ctx context.Context, q admission.Question, pay func() error) (admission.Verdict, error)
}

const openUntil = 30 * time.Second // when to ask again about somebody let in because the site did not answer

// siteRight is what the site has said about a session.
type siteRight struct {
	question admission.Question // to ask again
	name     string             // of a viewer, for others
	until    time.Time          // when to ask again; zero: never
	end      time.Time          // when the session ends; zero: not because of the site
}

// withSite is authorizeFor for a server with a site that decides too. What our own rules refuse stays refused, except
// that tokens which are not ours are the site's to judge: of those who open a session, and of those who ask about a
// private stream.
func (s *Server) withSite(ctx context.Context, c echo.Context, w wish) (grant, error) {
	_, tokenErr := s.verify(ctx, c, w.token)
	switch foreign := isForeign(w.token, tokenErr); {
	case foreign && w.scope == access.Watch:
		return s.admitToWatch(ctx, c, w)
	case foreign && w.opens:
		return s.admitToPublish(ctx, c, w)
	}
	g, err := s.ownRules(ctx, c, w)
	if err != nil || !w.opens || g.claims.IsChild() {
		return g, err
	}
	g.site, _, err = s.ask(ctx, c, w, g.claims.Owner(), "")
	return g, err
}

// isForeign reports whether a token is one that only the site may know.
func isForeign(token string, err error) bool {
	return token != "" && len(token) <= access.MaxToken && errors.Is(err, access.ErrBadToken)
}

func (s *Server) admitToWatch(ctx context.Context, c echo.Context, w wish) (grant, error) {
	stream, found, err := s.lookupFor(ctx, c, w, access.Claims{}, false)
	g := grant{stream: stream, found: found}
	if err != nil || !w.opens && stream.Visibility == siaran.VisibilityPublic {
		return g, err
	}
	return s.admitForeign(ctx, c, w, g)
}

// admitToPublish asks the site before the listing: strangers do not make it read.
func (s *Server) admitToPublish(ctx context.Context, c echo.Context, w wish) (grant, error) {
	g, err := s.admitForeign(ctx, c, w, grant{})
	if err != nil {
		return g, err
	}
	if g.stream, g.found, err = s.lookupFor(ctx, c, w, g.claims, false); err != nil {
		return g, err
	}
	if g.stream.Owner != "" {
		return g, siaran.ErrNotOwner
	}
	g.claims.KeyGeneration = g.stream.KeyGeneration
	return g, nil
}

// admitForeign adds to a grant what the site says about a token of its own.
func (s *Server) admitForeign(ctx context.Context, c echo.Context, w wish, g grant) (grant, error) {
	right, user, err := s.ask(ctx, c, w, "", w.token)
	if err != nil {
		return grant{}, err
	}
	if user == "" {
		sum := sha256.Sum256([]byte(w.token))
		user = "#" + hex.EncodeToString(sum[:16])
	}
	g.site = right
	g.claims = access.Claims{
		Stream: string(w.stream), Scopes: []access.Scope{w.scope}, KeyGeneration: g.stream.KeyGeneration, Site: user,
	}
	return g, nil
}

// ask asks the site about a wish, either with the subject of a token of ours or with a token of its own.
func (s *Server) ask(ctx context.Context, c echo.Context, w wish, subject, token string) (
	right *siteRight, user string, err error,
) {
	q := admission.Question{
		Action: admission.Watch, Stream: w.stream, Source: c.RealIP(), Subject: subject, Token: token,
		UserAgent: c.Request().UserAgent(), Node: s.cfg.Node,
	}
	if w.scope == access.Publish {
		q.Action = admission.Publish
	}
	v, err := s.cfg.Admission.Ask(ctx, q, func() error { return s.askBudget.pay(c, subject) })
	now := time.Now()
	switch none := errors.Is(err, admission.ErrNoAnswer); {
	case none && s.cfg.AdmissionOpen && token == "": // our own rules allow it
		return &siteRight{question: q, until: now.Add(openUntil)}, "", nil
	case err != nil:
		return nil, "", siteError(err)
	}
	right = &siteRight{question: q, name: v.Name, until: v.Until}
	if v.Most > 0 {
		right.end = now.Add(v.Most)
	}
	return right, v.User, nil
}

// siteError is what a client is told of an error from Ask.
func siteError(err error) error {
	var refusal *admission.Refusal
	switch {
	case errors.As(err, &refusal):
		f := &failure{kind: refusedBySite, detail: refusal.Error()}
		if refusal.SignIn {
			f.instead = http.StatusUnauthorized
		}
		return f
	case errors.Is(err, admission.ErrNoAnswer):
		return &failure{kind: siteUnreachable, detail: admission.ErrNoAnswer.Error(), retryAfter: 5}
	}
	return err
}

// askBudget bounds how often the site is asked.
type askBudget struct {
	source *sourceLimiter
	all    *limiter // of those without a token of ours
}

func newAskBudget(l Limits) *askBudget {
	return &askBudget{newSourceLimiter(l.Ask), newLimiter(l.Asks)}
}

// pay pays for one question. subject is empty for strangers, who cannot use up what others need.
func (b *askBudget) pay(c echo.Context, subject string) error {
	if err := b.source.take(c); err != nil || subject != "" {
		return err
	}
	return b.all.take("")
}
