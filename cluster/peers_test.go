package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
	"siaran/internal/codec"
)

// town is a world whose servers share a listing. This server is in region r1, the origin in r0.
type town struct {
	*world

	mu    sync.Mutex
	nodes []siaran.Node
	wrong map[string]error // what servers say
	asked []string         // in that order
	live  error            // of the listing
	at    siaran.Whereabouts
}

func (w *town) Nodes() []siaran.Node { return w.nodes }

func (w *town) Whereabouts(siaran.StreamName) (siaran.Whereabouts, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at, w.at.Stream.Node != ""
}

func (w *town) Live(siaran.StreamName) (siaran.Stream, error) {
	if at, listed := w.Whereabouts(cats); listed {
		return at.Stream, nil
	}
	return liveStream("r0-0"), w.live
}

// move has the broadcast b1 listed at a server.
func (w *town) move(node string, moves int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = siaran.Whereabouts{Stream: liveStream(node), Moves: moves}
	w.at.Stream.BroadcastID = "b1"
}

// status sets that of the broadcast.
func (w *town) status(s siaran.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at.Stream.Status = s
}

// neighbour is a server of the town.
type neighbour struct {
	*town
	name string
}

func (n neighbour) Open(ctx context.Context, name siaran.StreamName, offer []byte) (Session, error) {
	n.town.mu.Lock()
	n.asked = append(n.asked, n.name)
	err := n.wrong[n.name]
	n.town.mu.Unlock()
	if err != nil {
		return Session{}, err
	}
	return n.world.Open(ctx, name, offer)
}

// newTown is for use in a bubble of synctest. The caller closes it.
func newTown(t *testing.T) *town {
	w := &town{world: &world{t: t, log: &logBuffer{}, sessions: 1}, nodes: servers(2, 4, 10), wrong: map[string]error{}}
	w.streams = map[siaran.StreamName]siaran.Stream{cats: liveStream("r0-0")}
	w.hub = siaran.NewHub(30*time.Second, codec.NewFramer)
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	self := Rank(cats, w.nodes[4:])[3]
	peers := NewPeers(self, w, func(n siaran.Node) (Source, error) {
		if strings.Contains(n.URL, "bad") {
			return nil, errors.New("no address")
		}
		return neighbour{w, n.Name}, nil
	}, logger)
	w.cluster = New(Config{
		Hub: w.hub, Above: peers, Puller: w, Node: self.Name,
		Sessions: func(siaran.StreamName) int { return 1 }, Logger: logger,
	})
	return w
}

func (w *town) wantAsked(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.asked, want) {
		w.t.Errorf("asked are %q, want %q", w.asked, want)
	}
	w.asked = nil
}

// TestPeersAreAskedInOrder: the head of the region, the next in rank, the origin; and who fails is asked last for a
// while.
func TestPeersAreAskedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		defer w.close()
		ranked := Rank(cats, w.nodes[4:])
		head, next := ranked[0].Name, ranked[1].Name
		w.wrong[head], w.wrong[next] = errors.New("dead"), siaran.ErrNotLive
		if err := w.cluster.Ensure(t.Context(), cats); err != nil {
			t.Fatal(err)
		}
		w.wantAsked(head, next, "r0-0")
		delete(w.wrong, next)
		w.newest().end(errors.New("stalled"))
		time.Sleep(time.Second)
		w.wantAsked(next) // the origin has failed, too
		time.Sleep(shunTime)
		delete(w.wrong, head)
		w.newest().end(errors.New("stalled"))
		time.Sleep(time.Second)
		w.wantAsked(head)
	})
}

// TestOriginDecides: others may not know yet, or be confused.
func TestOriginDecides(t *testing.T) {
	for name, tc := range map[string]struct{ says, others, want error }{
		"it is over":              {siaran.ErrNotLive, errors.New("dead"), siaran.ErrNotLive},
		"it does not answer":      {errors.New("dead"), siaran.ErrNotLive, siaran.ErrParent},
		"others are in a circle":  {nil, siaran.ErrLoop, nil},
		"others are too far away": {nil, siaran.ErrTooFar, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			defer w.close()
			for _, n := range w.nodes {
				w.wrong[n.Name] = tc.others
			}
			if w.wrong["r0-0"] = tc.says; tc.says == nil {
				delete(w.wrong, "r0-0")
			}
			if err := w.cluster.Ensure(t.Context(), cats); !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", name, err, tc.want)
			}
		})
	}
}

// TestWhatIsNotKnownIsNotAsked: the listing decides, from memory.
func TestWhatIsNotKnownIsNotAsked(t *testing.T) {
	for _, tc := range []struct{ live, want error }{
		{siaran.ErrNotLive, siaran.ErrNotLive}, {siaran.ErrUnknownNode, siaran.ErrParent},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			defer w.close()
			w.live = tc.live
			if err := w.cluster.Ensure(t.Context(), cats); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			w.wantAsked()
		})
	}
}

// TestWhoIsAskedMustNotWait: two servers that take each other for the head do not wait for one another.
func TestWhoIsAskedMustNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		defer w.close()
		head := Rank(cats, w.nodes[4:])[0].Name
		var inner error
		w.wrong[head] = nil
		peers := w.cluster.cfg.Above.(*Peers)
		peers.dial = func(n siaran.Node) (Source, error) {
			return asksBack{neighbour{w, n.Name}, func() {
				if n.Name == head {
					inner = w.cluster.Ensure(siaran.WithWay(t.Context(), siaran.Way{head}), cats)
				}
			}}, nil
		}
		if err := w.cluster.Ensure(t.Context(), cats); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(inner, siaran.ErrLoop) {
			t.Errorf("the head hears %v", inner)
		}
	})
}

type asksBack struct {
	neighbour
	before func()
}

func (a asksBack) Open(ctx context.Context, name siaran.StreamName, offer []byte) (Session, error) {
	a.before()
	return a.neighbour.Open(ctx, name, offer)
}

// TestPeersThatGoAreForgotten, and those without an address are passed over.
func TestPeersThatGoAreForgotten(t *testing.T) {
	w := newTown(t)
	defer w.close()
	peers := w.cluster.cfg.Above.(*Peers)
	ranked := Rank(cats, w.nodes[4:])
	for i, n := range w.nodes {
		if n.Name == ranked[1].Name {
			w.nodes[i].URL = "bad"
		}
	}
	list, err := peers.sources(cats, false)
	if err != nil || len(list) != 2 || list[0].node != ranked[0].Name || !list[1].origin {
		t.Errorf("%+v, %v", list, err)
	}
	w.nodes = w.nodes[:1]
	if list, err := peers.sources(cats, false); err != nil || len(list) != 1 || len(peers.links) != 1 {
		t.Errorf("%+v, %v; %d are kept", list, err, len(peers.links))
	}
}
