package webhook

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/internal/signedpost"
)

const (
	mostRefusals = 12             // of one message by a receiver that cannot read it
	mostAge      = 72 * time.Hour // of a message; then it is given up
)

// receiver is one address of the operator.
type receiver struct {
	name   string // in the file; does not give the address away
	poster *signedpost.Poster
	queue  *queue
	store  *store
	log    *slog.Logger

	failing atomic.Bool // said in the log
	counts  counts
}

// run sends until ctx ends. What can be sent without waiting is still sent then, until hurry ends.
func (r *receiver) run(ctx, hurry context.Context) {
	defer r.poster.Close()
	var sending errgroup.Group
	sending.SetLimit(mostAtOnce)
	defer func() { _ = sending.Wait() }() // nothing fails
	for hurry.Err() == nil {
		stream, it, ok, again := r.queue.take(time.Now())
		if ok {
			sending.Go(func() error { r.send(hurry, stream, it); return nil })
			continue
		}
		if ctx.Err() != nil && r.queue.idle() {
			return
		}
		r.rest(ctx, hurry, again)
	}
}

// rest waits until the queue has news, or until again if that is not zero.
func (r *receiver) rest(ctx, hurry context.Context, again time.Time) {
	var due <-chan time.Time
	if !again.IsZero() {
		timer := time.NewTimer(time.Until(again))
		defer timer.Stop()
		due = timer.C
	}
	stop := ctx.Done()
	if ctx.Err() != nil {
		stop = nil
	}
	select {
	case <-r.queue.wake:
	case <-due:
	case <-stop:
	case <-hurry.Done():
	}
}

// send tries one message once.
func (r *receiver) send(ctx context.Context, stream siaran.StreamName, it item) {
	body := it.body
	if it.seq != 0 {
		var err error
		switch body, err = r.store.body(ctx, it.seq); {
		case errors.Is(err, sql.ErrNoRows):
			r.log.Error("a webhook message is gone from the file and cannot be sent", "id", it.id)
			r.counts.gone.Add(1)
			r.queue.done(stream, taken, 0, time.Now())
			return
		case err != nil:
			r.log.Warn("a webhook message cannot be read from the file", "id", it.id, "error", err)
			r.queue.done(stream, refused, 0, time.Now())
			return
		}
	}
	answer, err := r.poster.Post(ctx, it.id, body)
	now := time.Now()
	o := judge(answer, err)
	if o != noAnswer || ctx.Err() == nil { // else we are going
		r.counts.outcomes[o].Add(1)
	}
	if o != taken && r.givesUp(stream, it, answer, now) {
		r.log.Error("gave up on a webhook message: its receiver refused it, or did not take it for too long; "+
			"check the receiver's log", "stream", stream, "id", it.id, "status", answer.Status,
			"age", now.Sub(it.at).Round(time.Second))
		r.counts.givenUp.Add(1)
		r.forget(it)
		r.queue.done(stream, taken, 0, now)
		return
	}
	r.tell(ctx, stream, it, o, answer, err)
	if o == taken {
		r.forget(it)
	}
	r.queue.done(stream, o, answer.RetryAfter, now)
}

// judge tells errors that may be about this message from those that are about the receiver.
func judge(a signedpost.Answer, err error) outcome {
	switch {
	case err != nil:
		return noAnswer
	case a.OK():
		return taken
	}
	switch a.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return noAnswer
	}
	return refused
}

// givesUp reports whether a message that was not taken is not worth another try: it stands in the way of the stream's
// next ones.
func (r *receiver) givesUp(stream siaran.StreamName, it item, a signedpost.Answer, now time.Time) bool {
	if now.Sub(it.at) > mostAge {
		return true
	}
	switch a.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity:
		return r.queue.failedBefore(stream)+1 >= mostRefusals
	}
	return false
}

func (r *receiver) tell(
	ctx context.Context, stream siaran.StreamName, it item, o outcome, a signedpost.Answer, err error,
) {
	switch {
	case o == noAnswer && ctx.Err() != nil: // we are going
	case o == noAnswer && !r.failing.Swap(true):
		r.log.Warn("a webhook receiver does not answer; messages wait for it",
			"waiting", r.queue.waiting(), "status", a.Status, "error", err)
	case o != noAnswer && r.failing.Swap(false):
		r.log.Info("the webhook receiver answers again")
	case o == refused && r.queue.failedBefore(stream) == 0:
		r.log.Warn("a webhook receiver has answered with an error; the message is sent again later",
			"stream", stream, "id", it.id, "status", a.Status)
	}
}

// forget removes a message from the file. If that fails, the message is sent once more after a restart.
func (r *receiver) forget(items ...item) {
	items = slices.DeleteFunc(items, func(it item) bool { return it.seq == 0 })
	if len(items) == 0 {
		return
	}
	if err := r.store.remove(items); err != nil {
		r.log.Warn("webhook messages cannot be removed from the file; they may be sent twice", "error", err)
	}
}
