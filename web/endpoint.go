package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/internal/measure"
	"siaran/web/access"
)

const (
	mimeSDP      = "application/sdp"
	mimeFragment = "application/trickle-ice-sdpfrag"

	openTime = 7 * time.Second // OBS gives up 8 s after it began to send
	bodyTime = 4 * time.Second

	offerUnit = 4096 // bytes of an offer that count as one more request: reading them costs as much
)

// protocol is WHIP or WHEP: where its sessions are, and how the two differ.
type protocol struct {
	prefix   string // of the path
	scope    access.Scope
	sessions Sessions
	limit    *sourceLimiter // of POST
	slots    chan struct{}  // holds one element per offer that is being answered
	probe    int            // the status of GET and HEAD on the endpoint
}

func (s *Server) whip() *protocol {
	return &protocol{
		prefix: "/whip", scope: access.Publish, sessions: s.cfg.Ingest,
		limit: newSourceLimiter(s.cfg.Limits.Publish),
		slots: make(chan struct{}, 4*runtime.GOMAXPROCS(0)), // some of them wait for the network
		probe: http.StatusNoContent,
	}
}

func (s *Server) whep() *protocol {
	return &protocol{
		prefix: "/whep", scope: access.Watch, sessions: s.cfg.Egress,
		limit: newSourceLimiter(s.cfg.Limits.Watch),
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), // media needs the same CPUs
		probe: http.StatusOK,
	}
}

// post trades an offer for an answer: 201 and the session's Location (RFC 9725 section 4.2).
func (s *Server) post(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		name, err := streamParam(c)
		if err != nil {
			return err
		}
		return s.open(c, p, name)
	}
}

// postOwn is post for the stream that the token names.
func (s *Server) postOwn(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		claims, err := s.verify(c.Request().Context(), c, endpointToken(c.Request()))
		if err != nil {
			return err
		}
		if claims.Stream == access.AllStreams {
			return fail(nameNeeded,
				"the token is for all streams: put the stream's name into the address, as in /whip/NAME")
		}
		name, err := streamName(claims.Stream)
		if err != nil {
			return err
		}
		return s.open(c, p, name)
	}
}

// open opens a session. Who may not is told so before the body is read.
func (s *Server) open(c echo.Context, p *protocol, name siaran.StreamName) error {
	if s.leaving.Load() {
		return siaran.ErrClosed
	}
	if err := s.limitOffers(c, p); err != nil {
		return err
	}
	r := c.Request()
	ctx, cancel := context.WithTimeout(r.Context(), s.openTime)
	defer cancel()
	w := p.wish(name, endpointToken(r))
	w.opens = true
	began := time.Now()
	g, err := s.authorizeFor(ctx, c, w)
	ctx, trace := s.trace(ctx, c, name, g, began)
	if err != nil {
		return err
	}
	if p.scope == access.Watch {
		if sent, err := s.checkViewer(c, g.stream); sent || err != nil {
			return err
		}
	}
	if err := s.admits(p, g); err != nil {
		return err
	}
	offer, err := s.readOffer(c, p)
	if err != nil {
		return err
	}
	if p.scope == access.Publish {
		done, err := s.rights.reserve(g)
		if err != nil {
			return err
		}
		defer done()
		if err := s.claimForBroadcast(ctx, g); errors.Is(err, siaran.ErrAbove) {
			return s.toParent(c, err)
		} else if err != nil {
			return err
		}
	}
	if err := s.checkDepth(ctx, name); err != nil {
		return err
	}
	answer, err := s.answer(ctx, c, p, g, offer)
	if errors.Is(err, siaran.ErrNotLive) && p.scope == access.Watch {
		if err = s.pull(ctx, g.stream, trace); err == nil {
			answer, err = s.answer(ctx, c, p, g, offer)
		}
	}
	if p.scope == access.Watch && (errors.Is(err, siaran.ErrNotLive) || errors.Is(err, siaran.ErrParent)) {
		if url := s.nodeURLFor(ctx, c, g.stream); url != "" {
			s.placements.Count(placedElsewhere)
			return redirectTo(c, url)
		}
	}
	if err != nil {
		return offerFailed(err)
	}
	if r.Context().Err() != nil { // the client has gone and will not hear of the session
		_ = p.sessions.End(answer.Session) // fails if it has ended already
		return r.Context().Err()
	}
	if p.scope == access.Watch {
		s.placements.Count(placedHere)
	}
	s.rights.opened(p.scope, answer.Session, g)
	return s.created(c, p, name, answer)
}

// limitOffers fails if too many offers come, from one source or of viewers in all. Those of children are not counted.
func (s *Server) limitOffers(c echo.Context, p *protocol) error {
	if isChild(c) {
		return nil
	}
	if err := p.limit.take(c); err != nil || p.scope != access.Watch {
		return err
	}
	return s.join(c)
}

// checkViewer fails if somebody who may watch a stream cannot do so now. sent says that the viewer has been sent to
// another server instead.
func (s *Server) checkViewer(c echo.Context, stream siaran.Stream) (sent bool, err error) {
	if err := s.checkSite(c, stream); err != nil {
		return false, err
	}
	s.limitViewers(stream)
	choice := s.place(c, stream)
	if err := s.roomFor(c, choice); err != nil {
		return false, err
	}
	return s.placed(choice).send(c)
}

// pull has a stream here that is live on another server.
func (s *Server) pull(ctx context.Context, stream siaran.Stream, trace measure.Trace) error {
	asked := time.Now()
	if err := s.cfg.Cluster.Ensure(ctx, stream.Name); err != nil {
		return err
	}
	trace.Part("pull", asked, time.Now())
	s.limitViewers(stream) // it was not here before
	return s.checkDepth(ctx, stream.Name)
}

// wish is what it takes to open a session of a stream.
func (p *protocol) wish(name siaran.StreamName, token string) wish {
	return wish{scope: p.scope, stream: name, token: token, media: true}
}

func (s *Server) readOffer(c echo.Context, p *protocol) ([]byte, error) {
	http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(s.bodyTime))
	offer, err := readBody(c, mimeSDP, maxOffer)
	if err != nil {
		c.Response().Header().Set("Accept-Post", mimeSDP)
		return nil, err
	}
	if len(offer) == 0 {
		return nil, fail(malformedOffer, "%v: the body is empty", siaran.ErrMalformedOffer)
	}
	if isChild(c) {
		return offer, nil
	}
	return offer, p.limit.takeN(c, len(offer)/offerUnit)
}

// answer waits for a slot before it has an offer answered: answering many at once would finish none of them sooner.
func (s *Server) answer(
	ctx context.Context, c echo.Context, p *protocol, g grant, offer []byte,
) (siaran.Answer, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return siaran.Answer{}, ctx.Err()
	}
	if p.scope == access.Watch && g.claims.IsChild() {
		return s.cfg.Egress.OfferToChild(ctx, g.stream.Name, g.claims.Owner(), offer)
	}
	return p.sessions.Offer(ctx, g.stream.Name, g.claims.Owner(), s.client(c), offer)
}

func (s *Server) created(c echo.Context, p *protocol, name siaran.StreamName, answer siaran.Answer) error {
	h := c.Response().Header()
	url := s.sessionURL(p, name, answer.Session)
	h.Set(echo.HeaderLocation, url)
	h.Set("ETag", quoteTag(answer.Tag))
	h.Set("Accept-Patch", mimeFragment)
	h.Set("Cache-Control", "no-store")
	addLinks(h, s.iceServers(c.Request(), answer.Session))
	if p.scope == access.Watch {
		s.tellChild(c, name)
		h.Add("Link", fmt.Sprintf(`<%s/events>; rel="%s"; events="%s"`, url, relEvents, strings.Join(eventNames, ",")))
		h.Add("Link", fmt.Sprintf(`<%s/layers>; rel="%s"`, url, relLayer))
	}
	return send(c, http.StatusCreated, mimeSDP, answer.SDP)
}

// sessionURL is the address of a session: absolute if the server knows its own.
func (s *Server) sessionURL(p *protocol, name siaran.StreamName, id siaran.SessionID) string {
	return fmt.Sprintf("%s%s/%s/%s", s.cfg.BaseURL, p.prefix, name, string(id))
}

// offerFailed says what to do, where the domain only knows what happened.
func offerFailed(err error) error {
	if errors.Is(err, siaran.ErrStreamTaken) {
		return fail(streamTaken,
			"%v; end that broadcast first, in the studio or with DELETE /api/streams/NAME/broadcast",
			siaran.ErrStreamTaken)
	}
	return err
}

// probeEndpoint answers GET and HEAD on an endpoint (RFC 9725 section 4.1; draft-ietf-wish-whep-04 section 4.2).
func (s *Server) probeEndpoint(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		if name := c.Param("stream"); name != "" {
			if _, err := streamParam(c); err != nil {
				return err
			}
		}
		if p.probe == http.StatusOK {
			c.Response().Header().Set(echo.HeaderContentType, mimeSDP)
		}
		return c.NoContent(p.probe)
	}
}
