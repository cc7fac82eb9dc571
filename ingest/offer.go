package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"siaran"
	"siaran/internal/measure"
	"siaran/internal/sdp"
)

// Offer answers a broadcaster's SDP offer (RFC 9725 section 4.2) and begins its session, within two seconds. The
// stream is live once media comes. owner is the owner of the credential: the same owner takes over its own broadcast.
// from is the address of the client. It decides which candidates the client may name, and counts towards the share of
// its source unless it is invalid. Offer fails with ErrMalformedOffer, ErrUnacceptable, ErrStreamTaken, ErrContested,
// ErrTooManySessions, ErrShare or ErrClosed. The session tells the trace that ctx brings how it goes.
func (s *Server) Offer(
	ctx context.Context, stream siaran.StreamName, owner string, from netip.Addr, offer []byte,
) (siaran.Answer, error) {
	answer, err := s.answer(ctx, stream, owner, from, offer)
	if err != nil {
		s.joins.outcomes.Count(siaran.Refusal(err))
	}
	return answer, err
}

func (s *Server) answer(
	ctx context.Context, stream siaran.StreamName, owner string, from netip.Addr, offer []byte,
) (siaran.Answer, error) {
	began := time.Now()
	parsed, err := sdp.ParseOffer(offer)
	if err != nil {
		return siaran.Answer{}, err
	}
	chosen, err := choose(parsed)
	if err != nil {
		return siaran.Answer{}, err
	}
	if err := checkLayers(chosen, s.limits.Load().MaxLayers); err != nil {
		return siaran.Answer{}, err
	}
	origin, elsewhere, err := s.origin(stream, owner)
	if err != nil {
		return siaran.Answer{}, err
	}
	contested, err := s.reserve(stream, owner, from, time.Now())
	if err != nil {
		return siaran.Answer{}, err
	}
	sess, answer, err := s.open(ctx, stream, owner, origin, reachOf(from), parsed, chosen)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening--
	s.openers.Remove(from)
	s.idle.Broadcast()
	if err != nil {
		return siaran.Answer{}, err
	}
	sess.from, sess.trace = from, measure.TraceOf(ctx)
	sess.trace.Part("offer", began, time.Now())
	if contested || elsewhere {
		sess.contest.begin(time.Now())
	}
	s.begin(sess)
	return siaran.Answer{Session: sess.id, SDP: answer, Tag: sess.info.Tag}, nil
}

// origin is that of the broadcast that a broadcaster's session is going to feed. contested reports whether it is taken
// from another server where it may be fed.
func (s *Server) origin(stream siaran.StreamName, owner string) (o siaran.Origin, contested bool, err error) {
	taken, pulled := s.hub.Taken(stream, owner)
	switch {
	case taken && (!pulled || s.cfg.Moves == nil):
		return o, false, siaran.ErrStreamTaken
	case s.cfg.Moves == nil || s.hub.Holds(stream, owner):
		return o, false, nil
	}
	return s.cfg.Moves.Origin(stream, owner)
}

// begin lets a session run. The caller holds mu.
func (s *Server) begin(sess *session) {
	s.sessions[sess.id] = sess
	s.joins.running[sess] = struct{}{}
	if sess.pulled == nil { // the parent has answered a pull before
		sess.answered = time.Now()
	}
	s.running.Go(sess.run)
}

// open does everything that can fail. On error nothing stays open.
func (s *Server) open(
	ctx context.Context, stream siaran.StreamName, owner string, origin siaran.Origin, from reach, offer *sdp.Offer,
	chosen []choice,
) (*session, []byte, error) {
	own := s.certificate.Load()
	l := local{
		certificate: own.Certificate, fingerprint: own.fingerprint, setup: answerRole(offer.Setup),
		addresses: announced(s.cfg.Addresses()), reach: from,
	}
	if len(l.addresses) == 0 {
		return nil, nil, errors.New("ingest: there is no address to announce")
	}
	if s.listener != nil {
		l.tcp = announced(s.cfg.TCPAddresses())
	}
	l.ufrag, l.password = sdp.RandomText(16), sdp.RandomText(32)
	answer, err := writeAnswer(offer, chosen, l)
	if err != nil {
		return nil, nil, fmt.Errorf("ingest: writing the answer: %w", err)
	}
	sess := newSession(s, stream, owner, offer, l)
	sess.candidates, sess.near = min(len(offer.Candidates), maxCandidates), from
	sess.transport, err = openTransport(ctx, offer, s, l, sess.sinks(), sess.log)
	if err != nil {
		return nil, nil, err
	}
	specs := make([]siaran.TrackSpec, len(chosen))
	for i := range chosen {
		specs[i] = chosen[i].spec()
	}
	if s.cfg.Moves != nil {
		s.cfg.Moves.LetGo(stream)
	}
	sess.publication, err = s.hub.PublishFrom(stream, owner, specs, origin)
	if err != nil {
		sess.transport.close()
		return nil, nil, err
	}
	sess.receiver.attach(offer, chosen, sess.publication)
	sess.restarts = restartAnswer(offer, chosen)
	return sess, answer, nil
}

// reserve reserves room for one more session. A session that it would take over does not count; contested reports
// whether that one is sending.
func (s *Server) reserve(
	stream siaran.StreamName, owner string, from netip.Addr, now time.Time,
) (contested bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, siaran.ErrClosed
	}
	all, settingUp := s.opening, s.opening
	allBy, settingUpBy := maps.Clone(s.openers), maps.Clone(s.openers)
	for _, o := range s.sessions {
		if o.info.Stream == stream && o.info.Owner == owner {
			if o.sends(now) {
				if o.contest.refuses(now) {
					return false, siaran.ErrContested
				}
				contested = true
			}
			continue
		}
		all++
		allBy.Add(o.from)
		if !o.connected.Load() {
			settingUp++
			settingUpBy.Add(o.from)
		}
	}
	limits := s.limits.Load()
	if all >= limits.MaxSessions || settingUp >= limits.settingUp() {
		return false, siaran.ErrTooManySessions
	}
	if allBy.Over(from, limits.Share, max(minShared, limits.MaxSessions)) ||
		settingUpBy.Over(from, limits.Share, max(minShared, limits.settingUp())) {
		return false, siaran.ErrShare
	}
	s.opening++
	s.openers.Add(from)
	return contested, nil
}

// minShared is the least number of sessions that a share is computed from: the encoders of a studio have one address.
const minShared = 32
