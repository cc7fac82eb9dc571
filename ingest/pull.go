package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/measure"
	"siaran/internal/sdp"
)

// Why a pull has ended, besides what [siaran.Publication.Err] says when its broadcast was taken over or ended, and
// ErrClosed.
var (
	ErrStalled     = errors.New("nothing has come from the parent for too long")
	ErrParentEnded = errors.New("the parent has ended the session")
	ErrPullClosed  = errors.New("the pull was closed here")
)

// ErrParent is in every error of [Server.Pull] that is the parent's fault; the text says which. It is also what
// [Pulled.Err] has for a parent that has become unusable in another way than those above.
var ErrParent = errors.New("the parent cannot be pulled from")

// PullConfig describes a pull of a stream from another server, the parent. All but Layers must be given.
type PullConfig struct {
	Stream siaran.StreamName // here
	Layers []string          // the rids of the parent's layers, if it has several and is a server like this one

	// Owner is the owner of the broadcast here. A pull takes over a broadcast of its owner; a broadcaster, who has
	// another, gets ErrStreamTaken as long as the pull goes on, unless Config.Moves ends it.
	Owner string

	// Exchange posts the offer to the parent and returns what it answers. It is called once, with a context that ends
	// with that of Pull. Whatever else the parent's response has, such as the Location to be deleted, is kept by
	// whoever writes Exchange.
	Exchange func(ctx context.Context, offer []byte) (PullAnswer, error)
}

// PullAnswer is the response to an offer. Broadcast and StartedAt are empty for servers that do not say them.
type PullAnswer struct {
	SDP       []byte
	Broadcast siaran.BroadcastID
	StartedAt time.Time
}

// Pulled is a stream that comes from another server. Its methods may be called from any goroutine.
type Pulled struct {
	session  *session
	audience audience
	err      error // set before session.done is closed
}

// Pull starts a session that receives the stream from another server (draft-ietf-wish-whep). It returns when the
// broadcast is live here: the first media has come. That takes SetupTimeout at most. Until the first media, a broadcast
// of the same owner goes on as it was; then it continues with what comes from here, and its viewers stay.
//
// Pull fails with ErrParent, with the error of Exchange, with ErrStreamTaken, ErrTooManySessions or ErrClosed, and with
// that of ctx. The session outlives ctx. It tells the trace that ctx brings how it goes.
func (s *Server) Pull(ctx context.Context, c PullConfig) (*Pulled, error) {
	if c.Stream == "" || c.Owner == "" || c.Exchange == nil {
		return nil, errors.New("ingest: Stream, Owner and Exchange must be given")
	}
	if taken, _ := s.hub.Taken(c.Stream, c.Owner); taken {
		return nil, siaran.ErrStreamTaken
	}
	if err := s.reservePull(); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, s.limits.Load().SetupTimeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)() // Close waits for it
	p, err := s.pull(within, c)
	switch {
	case err == nil:
	case s.life.Err() != nil:
		err = siaran.ErrClosed
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return p, err
}

// reservePull reserves room for one more session.
func (s *Server) reservePull() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return siaran.ErrClosed
	case s.opening+len(s.sessions) >= s.limits.Load().MaxSessions:
		return siaran.ErrTooManySessions
	}
	s.opening++
	return nil
}

// opened ends what reservePull began. The session, unless it is nil, runs from now on.
func (s *Server) opened(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening--
	s.idle.Broadcast()
	if sess != nil {
		s.begin(sess)
	}
}

// pull begins a session and waits until it is live. On error nothing of it stays.
func (s *Server) pull(ctx context.Context, c PullConfig) (*Pulled, error) {
	sess, err := s.meet(ctx, c)
	s.opened(sess)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(tickWaiting)
	defer tick.Stop()
	for {
		select {
		case <-sess.done:
			return nil, fmt.Errorf("%w: %w", ErrParent, sess.pulled.err)
		case <-ctx.Done():
			sess.pulled.Close()
			return nil, fmt.Errorf("%w: it sends no key frame", ErrParent)
		case <-tick.C:
			if b := sess.publication.Broadcast(); b.State().Status == siaran.StatusLive {
				return sess.pulled, nil
			}
		}
	}
}

// meet makes the offer, gets its answer, connects, and begins the broadcast with the first packets.
func (s *Server) meet(ctx context.Context, c PullConfig) (_ *session, err error) {
	own := s.certificate.Load()
	l := local{
		certificate: own.Certificate, fingerprint: own.fingerprint,
		ufrag: sdp.RandomText(16), password: sdp.RandomText(32),
	}
	sess := newSession(s, c.Stream, c.Owner, &sdp.Offer{}, l)
	sess.pulled, sess.trace = &Pulled{session: sess}, measure.TraceOf(ctx)
	sess.log = s.log.With("from", "parent", "stream", c.Stream, "session", sess.id.String())
	sess.receiver.rate.limit, sess.receiver.packets.limit = 0, 0 // the parent has applied its limits
	to := sess.sinks()
	var start *pullStart // set before the parent can send
	to.rtp = func(b []byte) { sess.guarded(func() { start.rtp(b, time.Now()) }) }
	t, candidates, err := openOffering(ctx, s, l, to, sess.log)
	if err != nil {
		return nil, err
	}
	sess.transport = t
	defer func() {
		if err == nil {
			return
		}
		if start != nil {
			start.giveUp()
		}
		t.close()
		if sess.publication != nil {
			sess.publication.Abandon()
		}
	}()
	sections, offered := pulledSections(c.Layers), pullFormats()
	offer, err := writeOffer(sections, offered, l, candidates)
	if err != nil {
		return nil, fmt.Errorf("ingest: writing the offer: %w", err)
	}
	asked := time.Now()
	sess.trace.Part("offer", sess.since, asked)
	response, err := c.Exchange(ctx, offer)
	if err != nil {
		return nil, err
	}
	sess.answered = time.Now()
	sess.trace.Part("answer", asked, sess.answered)
	answer, agreed, err := readAnswer(response.SDP, sections, offered)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParent, err)
	}
	origin := siaran.Origin{ID: response.Broadcast, StartedAt: response.StartedAt, Pulled: true}
	start = newPullStart(sess, answer, agreed, origin)
	if err := t.accept(answer, func() { sess.abort(errHandshake) }); err != nil {
		return nil, fmt.Errorf("%w: its answer: %w", ErrParent, err)
	}
	if err := sess.firstMedia(ctx, start); err != nil {
		return nil, err
	}
	poke(sess.wake) // what woke it so far was for here
	return sess, nil
}

// firstMedia waits until the first media has begun the broadcast.
func (s *session) firstMedia(ctx context.Context, start *pullStart) error {
	var settled <-chan time.Time
	for {
		select {
		case <-start.published:
			return start.err
		case <-s.transport.sockets.reached:
			settled = time.After(tickWaiting) // by then pion has seen the answer, and those of better pairs
		case <-settled:
			s.transport.hurry()
		case err := <-s.aborted:
			if impostor := s.transport.impostor(start.answer.Fingerprints); impostor != nil {
				err = impostor // whom pion has just hung up on
			}
			return fmt.Errorf("%w: %w", ErrParent, pullError(err))
		case <-s.wake:
			if s.transport.state() == webrtc.PeerConnectionStateFailed {
				if err := s.transport.impostor(start.answer.Fingerprints); err != nil {
					return fmt.Errorf("%w: %w", ErrParent, err)
				}
				return fmt.Errorf("%w: %w", ErrParent, errUnconnected)
			}
		case <-ctx.Done():
			switch stranger := start.giveUp(); {
			case s.transport.state() != webrtc.PeerConnectionStateConnected:
				return fmt.Errorf("%w: no connection: no answer to connectivity checks over UDP, or no DTLS", ErrParent)
			case stranger >= 0:
				return fmt.Errorf("%w: it sends payload type %d, which its answer does not have", ErrParent, stranger)
			}
			return fmt.Errorf("%w: it sends no media", ErrParent)
		}
	}
}

// parentGone returns why a pull has to end, nil when it does not: the parent has said BYE on all that it sends, or it
// has not been heard for a while.
func (s *session) parentGone(state webrtc.PeerConnectionState, now time.Time) error {
	if s.receiver.left() {
		return ErrParentEnded
	}
	if state != webrtc.PeerConnectionStateDisconnected {
		s.absent = time.Time{}
		return nil
	}
	if s.absent.IsZero() {
		s.absent = now
	}
	if now.Sub(s.absent) < parentPatience {
		return nil
	}
	return ErrStalled
}

// pullError is what the end of a session is called when it is a pull.
func pullError(reason error) error {
	switch reason {
	case errHungUp:
		return ErrParentEnded
	case errGone:
		return ErrStalled
	case errShutdown:
		return siaran.ErrClosed
	case errReports, errHandshake, errUnconnected:
		return fmt.Errorf("%w: %w", ErrParent, reason)
	}
	return reason
}

// Done returns a channel that is closed when the pull has ended and nothing of it is left. The broadcast waits for the
// hub's grace time; who wants it to end before calls [siaran.Hub.EndOf].
func (p *Pulled) Done() <-chan struct{} { return p.session.done }

// Err says why it has ended, once Done is closed.
func (p *Pulled) Err() error { return p.err }

// Close ends the pull and waits until nothing of it is left.
func (p *Pulled) Close() {
	p.session.requestEnd(closed)
	<-p.session.done
}

// Broadcast is the broadcast that the pull feeds.
func (p *Pulled) Broadcast() *siaran.Broadcast { return p.session.publication.Broadcast() }

// Audience tells the parent how many viewers are below it here now, and how many have joined since the pull began. It
// may be called as often as there is something new.
func (p *Pulled) Audience(viewers int, joins uint64) { p.audience.set(viewers, joins) }
