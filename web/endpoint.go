package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

const (
	mimeSDP      = "application/sdp"
	mimeFragment = "application/trickle-ice-sdpfrag"

	openTime  = 7 * time.Second // OBS gives up 8 s after it began to send (W12)
	bodyTime  = 4 * time.Second
	claimTime = time.Second
)

// protocol is WHIP or WHEP: where its sessions are, and what differs between the two.
type protocol struct {
	prefix   string // of the path
	sessions Sessions
	limit    *limiter // of POST, by source address
	probe    int      // the status of GET and HEAD on the endpoint
	sendsOn  bool     // to the server that has the stream live

	// rules are those of a stream, for who comes with this token.
	rules func(ctx context.Context, c echo.Context, token string, name siaran.StreamName) (stream siaran.Stream, there bool, err error)
	// allow tells on whose behalf a session is opened with this token; no claims: on nobody's.
	allow func(ctx context.Context, token string, stream siaran.Stream, there bool) (access.Claims, error)
	// prepare is done before an offer is given to sessions.
	prepare func(ctx context.Context, claims access.Claims, on access.Target) error
}

func (s *Server) whip() *protocol {
	return &protocol{
		prefix: "/whip", sessions: s.cfg.Ingest, limit: newLimiter(s.cfg.Limits.Publish), probe: http.StatusNoContent,
		rules: s.rulesToPublish,
		allow: func(ctx context.Context, token string, stream siaran.Stream, there bool) (access.Claims, error) {
			return s.allow(ctx, token, access.Publish, target(stream, there))
		},
		prepare: s.claim,
	}
}

func (s *Server) whep() *protocol {
	return &protocol{
		prefix: "/whep", sessions: s.cfg.Egress, limit: newLimiter(s.cfg.Limits.Watch), probe: http.StatusOK, sendsOn: true,
		rules:   s.rulesToWatch,
		allow:   s.allowWatch,
		prepare: func(context.Context, access.Claims, access.Target) error { return nil },
	}
}

// rulesToPublish looks nothing up for a token that is none.
func (s *Server) rulesToPublish(ctx context.Context, _ echo.Context, token string, name siaran.StreamName) (siaran.Stream, bool, error) {
	if _, err := s.concerned(ctx, token, name); err != nil {
		return siaran.Stream{}, false, err
	}
	return s.rulesOf(ctx, name)
}

func (s *Server) rulesToWatch(ctx context.Context, c echo.Context, token string, name siaran.StreamName) (siaran.Stream, bool, error) {
	stream, there, err := s.lookupFor(ctx, c, token, name)
	return s.orKnown(name, stream, there, err)
}

// claim makes a stream this server's before it is published here, and the account's that uses its name first.
func (s *Server) claim(ctx context.Context, claims access.Claims, on access.Target) error {
	if err := s.keyLimit.take(claims.Owner()); err != nil {
		return err
	}
	owner := "" // also for an administrator who publishes as somebody else
	if claims.Keeps(on) || claims.Account == on.Owner {
		owner = claims.Account
	}
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	if claims.Keeps(on) {
		if err := s.roomFor(ctx, claims); err != nil {
			return err
		}
	}
	switch err := s.cfg.Listing.Claim(ctx, on.Stream, s.cfg.Node, owner); {
	case errors.Is(err, siaran.ErrStreamTaken):
		return fail(http.StatusConflict, "the stream is live on %s; end that broadcast first", s.whereLive(ctx, on.Stream))
	case errors.Is(err, siaran.ErrNotOwner):
		return err
	case err != nil && claims.Keeps(on): // whose name it is must be written down first
		return listingFailed(err)
	case err == nil && on.New:
		s.known.put(siaran.Stream{Name: on.Stream, Visibility: siaran.VisibilityPublic, Owner: owner}) // so that it can come back without the listing
	case err != nil:
		// Media does not wait for the database: the reporter tells it when it is back.
		s.log.Warn("the listing could not be asked before a broadcast", "stream", on.Stream, "err", err)
	}
	return nil
}

// post trades an offer for an answer: 201 and the session's Location (RFC 9725 section 4.2).
func (s *Server) post(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		name, err := streamParam(c)
		if err != nil {
			return err
		}
		return s.open(c, p, name, endpointToken(c.Request()))
	}
}

// postOwn is post for the stream that the token is for.
func (s *Server) postOwn(p *protocol) echo.HandlerFunc {
	return func(c echo.Context) error {
		token := endpointToken(c.Request())
		claims, err := s.verify(c, token)
		if err != nil {
			return err
		}
		if claims.Stream == access.AllStreams {
			return fail(http.StatusForbidden, "the token is for all streams: put the stream's name into the address, as in /whip/NAME")
		}
		name, err := streamName(claims.Stream)
		if err != nil {
			return err
		}
		return s.open(c, p, name, token)
	}
}

func (s *Server) open(c echo.Context, p *protocol, name siaran.StreamName, token string) error {
	if s.draining.Load() {
		return siaran.ErrClosed
	}
	if err := p.limit.take(source(c.RealIP())); err != nil {
		return err
	}
	r := c.Request()
	ctx, cancel := context.WithTimeout(r.Context(), s.openTime)
	defer cancel()
	stream, there, err := p.rules(ctx, c, token, name)
	if err != nil {
		return err
	}
	// Who may not is told so before the body is read.
	claims, err := p.allow(ctx, token, stream, there)
	if err != nil {
		return err
	}
	http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(s.bodyTime))
	offer, err := readBody(c, mimeSDP, maxOffer)
	if err != nil {
		c.Response().Header().Set("Accept-Post", mimeSDP)
		return err
	}
	if len(offer) == 0 {
		return fail(http.StatusBadRequest, "%v: the body is empty", siaran.ErrMalformedOffer)
	}
	if err := p.prepare(ctx, claims, target(stream, there)); err != nil {
		return err
	}
	answer, err := p.sessions.Offer(ctx, name, claims.Owner(), offer)
	if errors.Is(err, siaran.ErrNotLive) && p.sendsOn {
		if there := s.elsewhere(ctx, c, stream); there != "" {
			return sendThere(c, there)
		}
	}
	if err != nil {
		return offerFailed(err)
	}
	if r.Context().Err() != nil { // nobody is there to hear of the session
		p.sessions.End(answer.Session)
		return r.Context().Err()
	}
	h := c.Response().Header()
	h.Set(echo.HeaderLocation, fmt.Sprintf("%s%s/%s/%s", s.cfg.BaseURL, p.prefix, name, string(answer.Session)))
	h.Set("ETag", quoteTag(answer.Tag))
	h.Set("Accept-Patch", mimeFragment)
	h.Set("Cache-Control", "no-store")
	addLinks(h, s.iceServers(r, answer.Session))
	return c.Blob(http.StatusCreated, mimeSDP, answer.SDP)
}

// offerFailed says what to do, where the domain only knows what happened.
func offerFailed(err error) error {
	if errors.Is(err, siaran.ErrStreamTaken) {
		return fail(http.StatusConflict, "%v; end that broadcast first, in the studio or with DELETE /api/streams/NAME/broadcast", siaran.ErrStreamTaken)
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
