package listing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// health is how the database has answered of late.
type health struct {
	mu     sync.Mutex
	failed error     // of the newest answer
	since  time.Time // failed without a break since
	heard  time.Time // the newest good answer
}

const (
	contactEvery = renewPeriod + callTimeout // a database that is there is heard of as often
	unreadyAfter = leasePeriod               // without an answer for so long, streams of others cannot be shown any more
)

// note takes an answer and tells whether it is the first good one after a time without.
func (h *health) note(err error) (back bool) {
	if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
		return false // whoever asked has gone, which says nothing about the database
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

// answer tells errors that are answers, too: whoever refuses one thing is there.
func answer(err error) bool {
	if err == nil {
		return false
	}
	switch status.Code(err) {
	case codes.Aborted, codes.AlreadyExists, codes.InvalidArgument, codes.OutOfRange:
		return true
	}
	return firestoreAdvice(err) == errIndex
}

// Ready is nil, or the reason in plain words for which the listing cannot be relied on.
func (f *Firestore) Ready(context.Context) error {
	f.health.mu.Lock()
	failed, since := f.health.failed, f.health.since
	f.health.mu.Unlock()
	silent, trouble := f.mirror.silent()
	switch {
	case failed != nil && permanent(failed):
		return fmt.Errorf("the list of streams in Firestore cannot be used: %w", plainReason(failed))
	case failed != nil && (time.Since(since) >= unreadyAfter || !f.mirror.synced()):
		return fmt.Errorf("Firestore has not answered for %v: %w", time.Since(since).Round(time.Second), plainReason(failed))
	case !f.mirror.synced() && trouble != nil:
		return fmt.Errorf("the list of streams has not been read from Firestore yet: %w", plainReason(trouble))
	case !f.mirror.synced():
		return errors.New("the list of streams has not been read from Firestore yet")
	case silent > f.mirror.grace && trouble != nil:
		return fmt.Errorf("Firestore has told no changes for %v, so what is live on other servers is not known: %w", silent.Round(time.Second), plainReason(trouble))
	case silent > f.mirror.grace:
		return fmt.Errorf("Firestore has told no changes for %v, so what is live on other servers is not known", silent.Round(time.Second))
	}
	return nil
}

// overheard keeps why listeners fail, which Google's library passes over: it tries again and says nothing.
type overheard struct {
	mu  sync.Mutex
	err error
}

func (o *overheard) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *overheard) last() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// intercept is a grpc.StreamClientInterceptor.
func (o *overheard) intercept(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, stream grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := stream(ctx, desc, conn, method, options...)
	if !strings.HasSuffix(method, "/Listen") {
		return s, err
	}
	if err != nil {
		o.note(err)
		return nil, err
	}
	return listenStream{s, o}, nil
}

type listenStream struct {
	grpc.ClientStream
	o *overheard
}

func (s listenStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil && err != io.EOF && status.Code(err) != codes.Canceled {
		s.o.note(err)
	}
	return err
}
