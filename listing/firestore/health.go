package firestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"siaran/listing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// health is how the database has answered lately.
type health struct {
	mu     sync.Mutex
	failed error     // the newest answer, if that was a failure
	since  time.Time // failed without a break since then
	heard  time.Time // the newest good answer
}

const (
	// contactEvery is how often a database that works answers at least.
	contactEvery = listing.RenewPeriod + listing.CallTimeout

	// unreadyAfter is how long the database may not answer. After that the streams of other servers cannot be shown.
	unreadyAfter = listing.LeasePeriod
)

// note takes an answer, and reports whether it is the first good one after a failure of more than a second.
func (h *health) note(err error) (back bool) {
	if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
		return false // the caller has gone, which says nothing about the database
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		back = h.failed != nil && time.Since(h.since) > time.Second
		h.failed, h.heard = nil, time.Now()
		return back
	}
	if h.failed == nil {
		h.since = time.Now()
	}
	h.failed = err
	return false
}

func (h *health) inContact() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed == nil && time.Since(h.heard) < contactEvery
}

// silence is how long ago the newest good answer was.
func (h *health) silence() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.heard.IsZero() {
		return 0
	}
	return time.Since(h.heard)
}

// isAnswer reports whether an error shows that the database works: it has refused one thing.
func isAnswer(err error) bool {
	if err == nil {
		return false
	}
	switch status.Code(err) {
	case codes.Aborted, codes.AlreadyExists, codes.InvalidArgument, codes.OutOfRange:
		return true
	}
	return advice(err) == listing.ErrNoIndex
}

// Synced reports whether what is live has been read once, since when it is known from memory.
func (f *Listing) Synced() bool { return f.mirror.synced() }

// Ready implements listing.Readier.
func (f *Listing) Ready(context.Context) error {
	f.health.mu.Lock()
	failed, since := f.health.failed, f.health.since
	f.health.mu.Unlock()
	silent, trouble := f.mirror.silent()
	switch {
	case failed != nil && permanent(failed):
		return fmt.Errorf("the list of streams in Firestore cannot be used: %w", plainReason(failed))
	case failed != nil && (time.Since(since) >= unreadyAfter || !f.mirror.synced()):
		away := time.Since(since).Round(time.Second)
		return fmt.Errorf("no answer from Firestore for %v: %w", away, plainReason(failed))
	case !f.mirror.synced() && trouble != nil:
		return fmt.Errorf("the list of streams has not been read from Firestore yet: %w", plainReason(trouble))
	case !f.mirror.synced():
		return errors.New("the list of streams has not been read from Firestore yet")
	case silent > f.mirror.grace:
		err := fmt.Errorf("no updates from Firestore for %v: streams on other servers may be out of date",
			silent.Round(time.Second))
		if trouble != nil {
			err = fmt.Errorf("%w: %w", err, plainReason(trouble))
		}
		return err
	}
	return nil
}

// listenErrors keeps why listeners fail. Google's library does not report that: it tries again.
type listenErrors struct {
	mu  sync.Mutex
	err error
}

func (l *listenErrors) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *listenErrors) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// intercept is a grpc.StreamClientInterceptor.
func (l *listenErrors) intercept(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	stream grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	s, err := stream(ctx, desc, conn, method, options...)
	if !strings.HasSuffix(method, "/Listen") {
		return s, err
	}
	if err != nil {
		l.note(err)
		return nil, err
	}
	return listenStream{s, l}, nil
}

type listenStream struct {
	grpc.ClientStream
	errors *listenErrors
}

func (s listenStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil && err != io.EOF && status.Code(err) != codes.Canceled {
		s.errors.note(err)
	}
	return err
}
