package listing

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/listing/sqlite"
)

// flaky is a listing that fails when told to, and records its calls.
type flaky struct {
	siaran.Listing

	mu    sync.Mutex
	fault fault
	calls []call
}

// fault decides what happens to a call.
type fault func(ctx context.Context, op string, do func() error) error

type call struct {
	op     string // "renew", "apply", "sweep" and, for a sweep, the node
	at     time.Time
	update siaran.Update
	node   siaran.Node
}

var errFlaky = errors.New("the listing is away")

func away(context.Context, string, func() error) error { return errFlaky }

// late does what is asked, and fails all the same.
func late(_ context.Context, _ string, do func() error) error { return errors.Join(errFlaky, do()) }

// hanging answers only when the caller gives up.
func hanging(ctx context.Context, _ string, _ func() error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *flaky) set(fault fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *flaky) call(ctx context.Context, c call, do func() error) error {
	c.at = time.Now()
	f.mu.Lock()
	f.calls = append(f.calls, c)
	fault := f.fault
	f.mu.Unlock()
	if fault != nil {
		return fault(ctx, c.op, do)
	}
	return do()
}

// of returns the calls with these names so far.
func (f *flaky) of(ops ...string) []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []call
	for _, c := range f.calls {
		if slices.Contains(ops, c.op) {
			list = append(list, c)
		}
	}
	return list
}

func (f *flaky) WritePause() time.Duration {
	if p, ok := f.Listing.(WritePacer); ok {
		return p.WritePause()
	}
	return countPause
}

func (f *flaky) Apply(ctx context.Context, u siaran.Update) error {
	return f.call(ctx, call{op: "apply", update: u}, func() error { return f.Listing.Apply(ctx, u) })
}

func (f *flaky) Renew(ctx context.Context, n siaran.Node) error {
	return f.call(ctx, call{op: "renew", node: n}, func() error { return f.Listing.Renew(ctx, n) })
}

func (f *flaky) Sweep(ctx context.Context, node string) (n int, err error) {
	err = f.call(ctx, call{op: "sweep " + node}, func() (err error) {
		n, err = f.Listing.Sweep(ctx, node)
		return err
	})
	return n, err
}

const self = "here"

var quickPause = (*sqlite.Listing)(nil).WritePause()

// server is a hub and its reporter.
type server struct {
	hub     *siaran.Hub
	listing *flaky
	cancel  context.CancelFunc
	ended   chan error
}

func start(t *testing.T, l siaran.Listing, node string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{
		hub: siaran.NewHub(30*time.Second, codec.NewFramer), listing: &flaky{Listing: l}, cancel: cancel,
		ended: make(chan error, 1),
	}
	r := NewReporter(s.hub, s.listing, siaran.Node{Name: node, URL: "http://here.example"}, nil)
	go func() { s.ended <- r.Run(ctx) }()
	return s
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	s.hub.Close()
	s.cancel()
	if err := <-s.ended; err != nil {
		t.Error("Run:", err)
	}
}

// crash makes the server vanish as if it had been killed.
func (s *server) crash() {
	s.listing.set(away)
	s.cancel()
	<-s.ended
	s.hub.Close()
}

// agree compares what the listing says about a stream with its broadcast and the viewers in want.
func agree(t *testing.T, l siaran.Listing, p *siaran.Publication, want []siaran.ViewerID) {
	t.Helper()
	b := p.Broadcast()
	s, err := l.Stream(t.Context(), b.Stream())
	if err != nil {
		t.Fatal(err)
	}
	if s.Status != siaran.StatusLive || s.BroadcastID != b.ID() || s.Viewers != len(want) {
		t.Errorf("listed as %+v, want broadcast %s live with %d viewers", s, b.ID(), len(want))
	}
	records, err := l.Viewers(t.Context(), b.Stream())
	if err != nil {
		t.Fatal(err)
	}
	var got []siaran.ViewerID
	for _, r := range records {
		got = append(got, r.ID)
	}
	want = slices.Sorted(slices.Values(want))
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%d viewers are listed, want %d: %v, %v", len(got), len(want), got, want)
	}
}

func open(t testing.TB, path string) *sqlite.Listing {
	t.Helper()
	l, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return l
}

// inBubble runs a test on a real database in synthetic time.
func inBubble(t *testing.T, test func(t *testing.T, path string, l *sqlite.Listing)) {
	path := filepath.Join(t.TempDir(), "listing.db")
	synctest.Test(t, func(t *testing.T) {
		l, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		test(t, path, l)
	})
}

func pass(d time.Duration) {
	time.Sleep(d) // in a bubble
	synctest.Wait()
}
