package admission

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"siaran/internal/measure"
	"siaran/internal/signedpost"
)

// ErrNoAnswer is the outcome of a question that the site has not answered, or not so that it can be understood.
var ErrNoAnswer = errors.New("the site that decides who may do this does not answer; try again in a moment")

const (
	askTime     = 3 * time.Second // for an answer; OBS gives up after 8
	mostAtOnce  = 32              // questions
	mostUnknown = 24              // of them about callers without a token of ours, who may be anybody
	mostAnswers = 4096            // that are kept

	yesLife  = 10 * time.Second // of an answer
	noLife   = 3 * time.Second
	noneLife = time.Second // of there being none
)

// Config is what a Hook needs.
type Config struct {
	URL       *url.URL // from signedpost.ParseURL
	Secrets   signedpost.Secrets
	UserAgent string
	Logger    *slog.Logger
	Transport http.RoundTripper // nil: the network
}

// Hook asks one site. Its methods may be called from any goroutine. It has no goroutine of its own.
type Hook struct {
	poster  *signedpost.Poster
	log     *slog.Logger
	slots   chan struct{} // holds one element for each question that is under way
	unknown chan struct{} // and for each of them about a caller without a token of ours
	failing atomic.Bool   // said in the log
	counts  counts

	mu      sync.Mutex
	answers map[key]*answer
}

// answer is one that is kept, or that others wait for.
type answer struct {
	unknown bool          // it is about a caller without a token of ours
	done    chan struct{} // closed when the rest is set
	verdict Verdict
	err     error
	expires time.Time // zero until done
}

// New returns a hook. It asks nothing yet.
func New(cfg Config) *Hook {
	return &Hook{
		poster: signedpost.New(signedpost.Config{
			URL: cfg.URL, Secrets: cfg.Secrets, Timeout: askTime, MaxAnswer: maxAnswer, Parallel: mostAtOnce,
			UserAgent: cfg.UserAgent, Transport: cfg.Transport,
		}),
		log: cfg.Logger, slots: make(chan struct{}, mostAtOnce), unknown: make(chan struct{}, mostUnknown),
		answers: make(map[key]*answer), counts: counts{took: measure.New(measure.Joins)},
	}
}

// Close closes idle connections. Nobody may ask any more.
func (h *Hook) Close() { h.poster.Close() }

// Ask asks the site, unless the same has been asked lately. It returns a verdict, or a *Refusal or ErrNoAnswer. If the
// site has to be asked, pay is called first, and its error is returned.
func (h *Hook) Ask(ctx context.Context, q Question, pay func() error) (Verdict, error) {
	k, body := q.prepared()
	h.mu.Lock()
	a := h.answers[k]
	if a == nil || !a.expires.IsZero() && !time.Now().Before(a.expires) {
		a = &answer{unknown: q.Subject == "", done: make(chan struct{})}
		h.makeRoom()
		h.answers[k] = a
		h.mu.Unlock()
		h.fetch(ctx, k, a, body, pay)
		return a.verdict, a.err
	}
	h.mu.Unlock()
	h.counts.kept.Add(1)
	select {
	case <-a.done:
		return a.verdict, a.err
	case <-ctx.Done():
		return Verdict{}, fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err())
	}
}

// makeRoom forgets answers that have expired, and if these are not enough, any. The caller holds h.mu.
func (h *Hook) makeRoom() {
	if len(h.answers) < mostAnswers {
		return
	}
	now := time.Now()
	for k, a := range h.answers {
		if !a.expires.IsZero() && !now.Before(a.expires) {
			delete(h.answers, k)
		}
	}
	for k, a := range h.answers {
		if len(h.answers) < mostAnswers {
			return
		}
		if !a.expires.IsZero() {
			delete(h.answers, k)
		}
	}
}

// fetch asks the site for those who wait for a. It goes on if the first of them goes away.
func (h *Hook) fetch(ctx context.Context, k key, a *answer, body []byte, pay func() error) {
	a.err = errors.New("the question was broken off") // by a panic
	life := time.Duration(0)
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		a.expires = time.Now().Add(life)
		if !a.verdict.Until.IsZero() && a.verdict.Until.Before(a.expires) {
			a.expires = a.verdict.Until
		}
		if life == 0 && h.answers[k] == a {
			delete(h.answers, k)
		}
		close(a.done)
	}()
	if a.err = pay(); a.err != nil {
		h.counts.limited.Add(1)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
	defer cancel()
	asked := time.Now()
	a.verdict, a.err = h.post(ctx, body, a.unknown)
	h.counts.took.Observe(time.Since(asked))
	h.counts.count(a.err)
	h.tell(a.err)
	switch {
	case a.err == nil:
		life = yesLife
	case errors.Is(a.err, ErrNoAnswer):
		life = noneLife
	default:
		life = noLife
	}
}

func (h *Hook) post(ctx context.Context, body []byte, unknown bool) (Verdict, error) {
	slots := []chan struct{}{h.slots}
	if unknown { // first, so that who waits for it holds nothing
		slots = []chan struct{}{h.unknown, h.slots}
	}
	for _, slot := range slots {
		select {
		case slot <- struct{}{}:
			defer func() { <-slot }()
		case <-ctx.Done():
			return Verdict{}, fmt.Errorf("%w: too many questions are under way", ErrNoAnswer)
		}
	}
	a, err := h.poster.Post(ctx, "ask_"+rand.Text(), body)
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	return judge(a, time.Now())
}

func (h *Hook) tell(err error) {
	switch none := errors.Is(err, ErrNoAnswer); {
	case none && !h.failing.Swap(true):
		h.log.Warn("the site that decides who may publish and watch does not answer", "site", h.poster.Host(), "error", err)
	case !none && h.failing.Swap(false):
		h.log.Info("the site that decides who may publish and watch answers again", "site", h.poster.Host())
	}
}
