package cluster

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
)

// TestPullFollowsTheBroadcaster: at once, whether the server before is dead, or still answers.
func TestPullFollowsTheBroadcaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		defer w.close()
		near := Rank(cats, w.nodes[4:])
		w.move(near[0].Name, 0)
		ensure(t, w.world)
		w.wantAsked(near[0].Name)
		w.status(siaran.StatusInterrupted)
		time.Sleep(time.Second)
		w.status(siaran.StatusLive)
		time.Sleep(time.Second)
		w.wantAsked() // it comes from where it came from
		w.move(near[1].Name, 1)
		time.Sleep(lookEvery + moveLook + time.Millisecond)
		w.wantAsked(near[1].Name)

		w.mu.Lock()
		for _, n := range near {
			w.wrong[n.Name] = errors.New("dead")
		}
		w.mu.Unlock()
		w.newest().end(errors.New("stalled"))
		time.Sleep(10 * time.Second) // by now it is asked every two seconds
		w.mu.Lock()
		w.asked = nil
		delete(w.wrong, near[2].Name)
		w.mu.Unlock()
		w.move(near[2].Name, 2)
		time.Sleep(moveLook + time.Millisecond)
		w.wantAsked(near[2].Name)

		w.status(siaran.StatusInterrupted) // it is asked for in this state, and comes
		w.newest().end(errors.New("stalled"))
		time.Sleep(10 * time.Second)
		w.mu.Lock()
		w.asked = nil
		w.mu.Unlock()
		w.status(siaran.StatusLive)
		time.Sleep(time.Second)
		w.wantAsked()
	})
}

// TestBroadcasterComesHere: the pull ends, the broadcast waits, and nobody pulls it again at once.
func TestBroadcasterComesHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		defer w.close()
		ensure(t, w.world)
		w.cluster.LetGo("dogs")
		w.cluster.LetGo(cats)
		if b, err := w.hub.Broadcast(cats); err != nil || b.State().Status != siaran.StatusInterrupted {
			t.Error(err)
		}
		if err := w.cluster.Ensure(t.Context(), cats); !errors.Is(err, siaran.ErrParent) {
			t.Errorf("pulled again: %v", err)
		}
	})
}

// TestBroadcasterLeaves: what has moved to another server is pulled from there, if it is watched.
func TestBroadcasterLeaves(t *testing.T) {
	for name, sessions := range map[string]int{"watched": 1, "not watched": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				defer w.close()
				w.cluster.cfg.Sessions = func(siaran.StreamName) int { return sessions }
				p, err := w.hub.PublishFrom(cats, "owner", tracks(nil), siaran.Origin{ID: "b1", Moves: 1})
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Writer(siaran.KindAudio, "").Write(1, 0, false, []byte{1}, time.Now()); err != nil {
					t.Fatal(err)
				}
				w.move("r0-0", 0) // as it was before it came here
				time.Sleep(time.Second)
				if s := p.Broadcast().State(); s.Pulled {
					t.Fatal("it was given up")
				}
				w.move("r0-0", 2)
				time.Sleep(time.Second)
				if <-p.Done(); !errors.Is(p.Err(), siaran.ErrTakenOver) {
					t.Errorf("its session: %v", p.Err())
				}
				s := p.Broadcast().State()
				if sessions > 0 && (!s.Pulled || s.Status != siaran.StatusLive || s.ID != "b1") {
					t.Errorf("%+v", s)
				}
				if sessions == 0 && s.Status != siaran.StatusOffline {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}
