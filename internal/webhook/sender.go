package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"siaran"
	"siaran/internal/signedpost"
)

const (
	requestTime = 10 * time.Second
	flushTime   = 3 * time.Second // at the end, for what can be sent without waiting
	maxAnswer   = 1 << 10         // bytes; read only so that the connection can be used again
	longQueue   = 1000            // messages
)

// Config is what a Sender needs.
type Config struct {
	Hub     *siaran.Hub
	Path    string // of the file in which messages wait
	URLs    []*url.URL
	Secrets signedpost.Secrets
	Node    string
	// Return is how long after a restart broadcasts may come back before they count as ended.
	Return    time.Duration
	UserAgent string
	Logger    *slog.Logger
	Transport http.RoundTripper // nil: the network
}

// Sender tells receivers what happens in a hub.
type Sender struct {
	feed      *siaran.Feed
	store     *store
	tracker   *tracker
	receivers []*receiver
	names     []string
	log       *slog.Logger
	unsaved   bool // the file does not know which broadcasts live; owned by watch
	failing   bool // the file cannot be written; owned by watch

	stop, hurry func()
	running     sync.WaitGroup
}

// Open starts a sender. What earlier processes have left in the file is sent first. The caller closes it, after the
// hub.
func Open(ctx context.Context, cfg Config) (*Sender, error) {
	st, err := openStore(ctx, cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	s := &Sender{store: st, tracker: newTracker(cfg.Node), log: cfg.Logger}
	for _, u := range cfg.URLs {
		s.receivers = append(s.receivers, s.newReceiver(u, cfg))
		s.names = append(s.names, s.receivers[len(s.receivers)-1].name)
	}
	if err := s.load(ctx, cfg); err != nil {
		_ = st.close() // what matters is why it cannot be read
		return nil, fmt.Errorf("webhooks %s: %w", cfg.Path, err)
	}
	s.feed = cfg.Hub.Feed()
	s.start()
	return s, nil
}

func (s *Sender) newReceiver(u *url.URL, cfg Config) *receiver {
	sum := sha256.Sum256([]byte(u.String()))
	poster := signedpost.New(signedpost.Config{
		URL: u, Secrets: cfg.Secrets, Timeout: requestTime, MaxAnswer: maxAnswer, Parallel: mostAtOnce,
		UserAgent: cfg.UserAgent, Transport: cfg.Transport,
	})
	return &receiver{
		name: hex.EncodeToString(sum[:8]), poster: poster, store: s.store,
		queue: newQueue(jitter), log: cfg.Logger.With("receiver", poster.Host()),
	}
}

// jitter shortens a pause by up to a half, so that not all servers come back at the same moment.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func (s *Sender) load(ctx context.Context, cfg Config) error {
	byName := make(map[string]*receiver)
	for _, r := range s.receivers {
		byName[r.name] = r
	}
	forgotten, living, err := s.store.load(ctx, s.names,
		func(name string, stream siaran.StreamName, it item) { byName[name].queue.add(stream, it) })
	if err != nil {
		return err
	}
	if forgotten > 0 {
		s.log.Warn("webhook messages are dropped: their receiver is not in the settings any more", "messages", forgotten)
	}
	for _, data := range living {
		s.tracker.remember(data, time.Now().Add(cfg.Return))
	}
	return nil
}

func (s *Sender) start() {
	ctx, stop := context.WithCancel(context.Background())
	sending, stopSending := context.WithCancel(context.Background())
	hurry, endHurry := context.WithCancel(context.Background())
	s.stop, s.hurry = stop, endHurry
	for _, r := range s.receivers {
		s.running.Go(func() { r.run(sending, hurry) })
	}
	s.running.Go(func() {
		defer stopSending()
		s.watch(ctx)
	})
}

// Close puts what the hub has said into the file, sends what can be sent in a few seconds, and closes the file.
func (s *Sender) Close() error {
	s.stop()
	timer := time.AfterFunc(flushTime, s.hurry)
	s.running.Wait()
	timer.Stop()
	s.hurry()
	return s.store.close()
}

// watch takes what the hub says, until ctx ends.
func (s *Sender) watch(ctx context.Context) {
	defer s.feed.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.put(s.news(time.Now()), s.tracker.flushAll(time.Now()))
			return
		case <-s.feed.Ready():
		case <-timer.C:
		}
		now := time.Now()
		s.put(s.news(now), s.tracker.due(now, s.pause()))
		if at := s.tracker.wakeAt(s.pause()); at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
	}
}

func (s *Sender) news(now time.Time) []message {
	var list []message
	for _, c := range s.feed.Take() {
		list = append(list, s.tracker.add(c, now)...)
	}
	return list
}

// pause is how long viewers are gathered.
func (s *Sender) pause() time.Duration {
	for _, r := range s.receivers {
		if r.queue.waiting() > longQueue {
			return batchWhileLong
		}
	}
	return batchEvery
}

// put queues messages for all receivers, in the file if that can be written.
func (s *Sender) put(lists ...[]message) {
	var list []message
	for _, l := range lists {
		list = append(list, l...)
	}
	if len(list) == 0 {
		return
	}
	numbers := s.save(list)
	for i, m := range list {
		for j, r := range s.receivers {
			it := item{id: m.id, at: m.at, viewers: m.viewers, size: len(m.body)}
			if numbers == nil {
				it.body = m.body
			} else {
				it.seq = numbers[i][j]
			}
			s.dropped(r, r.queue.add(m.stream, it))
		}
	}
}

// save writes messages to the file. It returns nil if that fails.
func (s *Sender) save(list []message) [][]int64 {
	var living []streamData
	for _, m := range list {
		s.unsaved = s.unsaved || !m.viewers
	}
	if s.unsaved {
		living = s.tracker.living()
	}
	numbers, err := s.store.write(list, s.names, living)
	if err != nil {
		if !s.failing {
			s.log.Warn("webhook messages cannot be written to the file; until they can, a restart would lose them",
				"error", err)
		}
		s.failing = true
		return nil
	}
	s.failing, s.unsaved = false, false
	return numbers
}

func (s *Sender) dropped(r *receiver, items []item) {
	if len(items) == 0 {
		return
	}
	viewers := 0
	for _, it := range items {
		if it.viewers {
			viewers++
		}
	}
	r.log.Warn("too many webhook messages wait; the oldest are dropped, those about viewers first",
		"about_viewers", viewers, "about_streams", len(items)-viewers)
	r.counts.dropped.Add(uint64(len(items)))
	r.forget(items...)
}
