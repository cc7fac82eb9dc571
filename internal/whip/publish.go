package whip

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"siaran/internal/signalling"
)

const (
	firstPause = 500 * time.Millisecond
	maxPause   = 15 * time.Second
	awayShare  = 15              // after a loss, a pause is that part of the time that has passed
	goodbye    = 5 * time.Second // for the DELETE at the end
)

// Publish keeps a session up: it dials and runs play. Unless once is set, it dials again, with growing pauses, when
// the connection is lost or the server cannot accept it for now. After a loss they grow slowly, as most losses are
// short, such as the restart of a server. When no media gets through, it tries the server's
// relays. play sends media until it has no more, and must return when its ctx ends, which happens when the connection
// is lost. Publish returns nil when play has finished or ctx has ended, and otherwise the error after which another
// attempt is pointless.
func Publish(
	ctx context.Context, cfg Config, once bool, logger *slog.Logger, play func(ctx context.Context, s *Session) error,
) error {
	pause := firstPause
	relayed := false
	var lost time.Time // zero: never connected
	for {
		began := time.Now()
		up, err := attempt(ctx, cfg, relayed, logger, play)
		if up {
			lost = time.Now()
		}
		connected := !lost.IsZero()
		noWay := errors.Is(err, errNoWay)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case once && (relayed || !noWay) || !worthAnother(err, connected):
			return err
		}
		relayed = relayed != noWay // a way that failed is not the next one to try
		switch {
		case connected:
			pause = min(max(time.Since(lost)/awayShare, firstPause), maxPause)
		case time.Since(began) > maxPause:
			pause = firstPause
		}
		wait := pause/2 + rand.N(pause)
		if refused := (*signalling.Error)(nil); errors.As(err, &refused) {
			wait = max(wait, refused.RetryAfter)
		}
		logger.Warn("publishing again soon", "in", wait.Round(100*time.Millisecond), "reason", err)
		pause = min(2*pause, maxPause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// fatal marks an error of play that the connection did not cause.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

func attempt(
	ctx context.Context, cfg Config, relayed bool, logger *slog.Logger, play func(context.Context, *Session) error,
) (up bool, err error) {
	if relayed {
		if cfg, err = cfg.through(ctx); err != nil {
			return false, errors.Join(errNoWay, err)
		}
	}
	s, err := Dial(ctx, cfg)
	if err != nil {
		return false, err
	}
	logger.Info("publishing", "url", cfg.URL, "relayed", relayed)
	playing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.Lost():
			cancel(ErrLost)
		case <-playing.Done():
		}
	})
	err = play(playing, s)
	cancel(nil)
	watch.Wait()
	if cause := context.Cause(playing); err != nil && errors.Is(cause, ErrLost) {
		err = ErrLost
	}
	if err != nil && !errors.Is(err, ErrLost) && ctx.Err() == nil {
		err = fatal{err}
	}
	bounded, done := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer done()
	if closing := s.Close(bounded); closing != nil && !errors.Is(err, ErrLost) {
		logger.Warn("the session could not be ended at the server", "error", closing)
	}
	return true, err
}

// worthAnother reports whether dialling again may help. If another broadcaster has the stream, the first attempt is
// final. Once we have been connected, it is most likely our own session that the server has not ended yet.
func worthAnother(err error, connected bool) bool {
	if errors.As(err, new(fatal)) {
		return false
	}
	refused := (*signalling.Error)(nil)
	if errors.As(err, &refused) {
		return refused.Temporary() || connected && refused.Code == http.StatusConflict
	}
	return true
}
