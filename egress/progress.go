package egress

import (
	"errors"
	"time"

	"siaran"
	"siaran/internal/measure"
)

// stage is how far a session has come.
type stage int

const (
	stageOffered  stage = iota // its offer has come
	stageAnswered              // the answer is ready
	stageChecked               // the first right check has come
	stageProven                // an address of the viewer has answered
	stageSecured               // DTLS is done, and the viewer belongs to a worker
	stageSent                  // the first packet of media has gone out
	stageShown                 // the first key frame has gone out whole; without video, the first sound
	stages
)

// StageNames are the names of the stages of a join in Stats, in their order.
var StageNames = []string{"answer", "check", "proof", "handshake", "packet", "frame"}

// parts are the names of the stages in a trace.
var parts = [stages]string{"", "offer", "ICE check", "ICE proof", "DTLS", "first packet", "first key frame"}

// progress is when a session reached each stage. Each is reached by the goroutine that the session belongs to then.
type progress struct {
	stage stage
	at    [stages]time.Time
}

// joinCounters measure how viewers join and leave. Children are not viewers and do not count.
type joinCounters struct {
	stages   [stages]*measure.Histogram // how long each took; the first is nil
	all      *measure.Histogram         // from the offer to stageShown
	outcomes measure.Tally              // of offers
	endings  measure.Tally              // of connected sessions
	bans     measure.Tally              // by siaran.BannedBy
}

func newJoinCounters() *joinCounters {
	c := &joinCounters{all: measure.New(measure.Joins)}
	for i := stageAnswered; i < stages; i++ {
		c.stages[i] = measure.New(measure.Joins)
	}
	return c
}

// reach notes that a session has come to a stage.
func (s *session) reach(to stage, now time.Time) {
	p := &s.progress
	before := p.at[p.stage]
	p.stage, p.at[to] = to, now
	if s.child {
		return
	}
	s.trace.Part(parts[to], before, now)
	c := s.server.joins
	c.stages[to].Observe(now.Sub(before))
	if to == stageShown {
		c.all.Observe(now.Sub(p.at[stageOffered]))
	}
}

// mark tells the session when the first packet and the first frame have gone out.
func (v *viewer) mark() {
	sent, shown := false, true
	for _, t := range v.tracks {
		sent = sent || t.sent > 0
		shown = shown && (t.Kind == siaran.KindAudio || t.sent > 0 && !t.opening)
	}
	if sent && !v.begun {
		v.begun = true
		v.reached(stageSent, time.Now())
	}
	if sent && shown {
		v.reached(stageShown, time.Now())
		v.reached = nil
	}
}

// outcome names how an offer that was answered has ended without a connected viewer.
func (p *progress) outcome(why error) string {
	switch {
	case errors.Is(why, siaran.ErrTooManySessions), errors.Is(why, siaran.ErrShare):
		return "full"
	case errors.Is(why, siaran.ErrStreamFull): // since the offer
		return "stream_full"
	case errors.Is(why, errPanic):
		return "fault"
	case !errors.Is(why, errSetup) && ending(why) != "failed":
		return "given_up" // by the viewer, or because nobody wants it here any more
	}
	switch p.stage {
	case stageOffered, stageAnswered:
		return "no_check"
	case stageChecked:
		return "no_proof"
	}
	return "no_handshake"
}

// unwanted are endings and outcomes that are neither the viewer's wish nor the server's or the broadcaster's.
var unwanted = []string{"lost", "fault", "failed", "no_check", "no_proof", "no_handshake"}

// ending names why a session has ended.
func ending(why error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{errLeft, "left"}, {errEnded, "left"}, {errConsent, "lost"}, {errKicked, "kicked"}, {errBanned, "banned"},
		{errMoved, "moved"}, {errWithdrawn, "withdrawn"}, {errPanic, "fault"},
		{siaran.ErrEnded, "stream_ended"}, {siaran.ErrClosed, "closing"},
	} {
		if errors.Is(why, known.err) {
			return known.name
		}
	}
	return "failed"
}
