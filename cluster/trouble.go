package cluster

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"siaran"
)

// quiet is the least time between two lines about what is wrong with the parent.
const quiet = 10 * time.Second

// trouble says what is wrong with the parent: one line when it begins, when it changes, and when it is over.
type trouble struct {
	log *slog.Logger

	mu   sync.Mutex
	what string    // was being done
	text string    // empty: all is well
	said time.Time // the last line
}

// of takes the outcome of something that was asked of the parent. A stream that is not there is no trouble.
func (t *trouble) of(what string, err error) {
	if errors.Is(err, siaran.ErrUnknownStream) || errors.Is(err, siaran.ErrNotLive) {
		err = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && t.text != "" && t.what == what:
		t.text = ""
		t.log.Info("the parent answers again")
	case err != nil && err.Error() != t.text && (t.text == "" || time.Since(t.said) >= quiet):
		t.what, t.text, t.said = what, err.Error(), time.Now()
		t.log.Warn("cannot get streams from the parent; will retry", "while", what, "error", err)
	}
}
