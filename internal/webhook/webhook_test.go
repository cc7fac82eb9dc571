package webhook

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
	"siaran/listing/listingtest"
)

// TestLifeOfABroadcast: both receivers are told, in order, and viewers come in one message a second.
func TestLifeOfABroadcast(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		p := listingtest.Publish(t, w.hub, "cats")
		pass(time.Millisecond)
		var ids []siaran.ViewerID
		for range 20 {
			ids = append(ids, listingtest.Join(t, p))
			pass(10 * time.Millisecond)
		}
		p.Broadcast().Leave(ids[0])
		pass(2 * time.Second)
		p.Interrupt()
		pass(time.Second)
		listingtest.Feed(t, p)
		pass(time.Second)
		p.Stop()
		pass(time.Second)
		for i, s := range w.sites {
			w.want(i, "cats", "started", "viewers.changed", "interrupted", "resumed", "viewers.changed", "ended")
			batch, rest, end := s.got[1].Data, s.got[4].Data, s.got[5].Data
			if len(batch.Joined) != 20 || len(batch.Left) != 1 || batch.Viewers != 19 || batch.Left[0] != string(ids[0]) {
				t.Errorf("%+v", batch)
			}
			if len(rest.Joined) != 0 || len(rest.Left) != 19 || end.Reason != "stopped" || s.tried != 6 {
				t.Errorf("%+v, %+v, %d tries", rest, end, s.tried)
			}
		}
		if w.sites[0].got[0].ID != w.sites[1].got[0].ID || w.sites[0].got[0].ID == w.sites[0].got[1].ID {
			t.Error("ids of messages")
		}
		if w.log.Len() > 0 {
			t.Error(w.log)
		}
	})
}

// TestGoneForAnHour: nothing is lost, the order stays, and a receiver that is away is not hammered.
func TestGoneForAnHour(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.sites[0].set(true, nil)
		p := listingtest.Publish(t, w.hub, "cats")
		want := []string{"started"}
		for range 60 {
			pass(30 * time.Second)
			p.Interrupt()
			pass(20 * time.Second)
			listingtest.Feed(t, p)
			pass(10 * time.Second)
			want = append(want, "interrupted", "resumed")
		}
		w.want(0, "")
		if st := w.sender.Stats(); st.Waiting != len(want) || st.Oldest < time.Hour || st.Failing != 1 || st.NoAnswer == 0 ||
			st.Taken != uint64(len(want)) {
			t.Errorf("%+v", st)
		}
		w.want(1, "", want...)
		if w.sites[0].dials < 60 || w.sites[0].dials > 150 {
			t.Errorf("%d attempts in an hour", w.sites[0].dials)
		}
		w.sites[0].set(false, nil)
		pass(2 * lastPause)
		w.want(0, "", want...)
		if st := w.sender.Stats(); st.Waiting != 0 || st.Oldest != 0 || st.Failing != 0 || st.Taken != 2*uint64(len(want)) {
			t.Errorf("%+v", st)
		}
		if n := strings.Count(w.log.String(), "\n"); n != 2 {
			t.Errorf("%d lines in the log, want one that it is away and one that it is back:\n%s", n, w.log)
		}
	})
}

// TestReceiversThatFail: whatever a receiver does, the other streams and the other receiver get theirs.
func TestReceiversThatFail(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"error":   func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"refusal": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://site1/", http.StatusTemporaryRedirect)
		},
		"busy": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"hangs": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, func(w *world) {
				w.sites[0].set(false, func(rw http.ResponseWriter, r *http.Request, e event) {
					if e.Data.Stream == "cats" {
						answer(rw, r)
					}
				})
				p := listingtest.Publish(t, w.hub, "cats")
				pass(time.Second)
				listingtest.Publish(t, w.hub, "dogs")
				p.Interrupt()
				pass(10 * time.Minute)
				w.want(0, "cats")
				w.want(1, "cats", "started", "interrupted", "ended")
				w.sites[0].set(false, nil)
				pass(lastWait)
				w.want(0, "cats", "started", "interrupted", "ended")
				w.want(0, "dogs", "started")
			})
		})
	}
}

// TestPoison: a message that the receiver says it cannot read does not stop its stream for ever.
func TestPoison(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.sites[0].set(false, func(rw http.ResponseWriter, r *http.Request, e event) {
			if e.Type == streamStarted && e.Data.Stream == "cats" {
				rw.WriteHeader(http.StatusBadRequest)
			}
		})
		p := listingtest.Publish(t, w.hub, "cats")
		pass(time.Minute)
		p.Stop()
		listingtest.Publish(t, w.hub, "dogs")
		pass(time.Minute)
		w.want(0, "", "started")
		pass(time.Hour)
		w.want(0, "cats", "ended")
		st := w.sender.Stats()
		if !strings.Contains(w.log.String(), "gave up") || st.GivenUp != 1 || st.Refused != mostRefusals {
			t.Errorf("%+v, %s", st, w.log)
		}
	})
}

// TestHundredMegabytes: a large answer is not read, and the message counts as taken.
func TestHundredMegabytes(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		wrote := 0
		w.sites[0].set(false, func(rw http.ResponseWriter, r *http.Request, e event) {
			rw.WriteHeader(http.StatusOK)
			for chunk := make([]byte, 1<<20); wrote < 100; wrote++ {
				if _, err := rw.Write(chunk); err != nil {
					return
				}
			}
		})
		listingtest.Publish(t, w.hub, "cats")
		pass(time.Second)
		w.want(0, "cats", "started")
		if wrote > 1 {
			t.Errorf("%d MB", wrote)
		}
	})
}

// TestRestart: what waits is sent by the next process, before what happens then. A broadcast that a process did not
// live to end is ended by the next.
func TestRestart(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.sites[0].set(true, nil)
		listingtest.Publish(t, w.hub, "cats")
		pass(time.Second)
		w.close()
		w.open()
		listingtest.Publish(t, w.hub, "cats")
		listingtest.Publish(t, w.hub, "dogs")
		pass(time.Second)
		w.kill()
		w.open()
		listingtest.Publish(t, w.hub, "cats")
		pass(time.Second)
		w.sites[0].set(false, nil)
		pass(2 * time.Minute)
		w.want(0, "cats", "started", "ended", "started", "ended", "started")
		w.want(0, "dogs", "started", "ended")
		for _, e := range w.sites[0].got {
			if want := map[siaran.StreamName]string{"cats": "shutdown", "dogs": "crashed"}; e.Type == streamEnded &&
				e.Data.Reason != want[e.Data.Stream] && e.Data.Reason != "crashed" {
				t.Errorf("%s %q", e, e.Data.Reason)
			}
		}
	})
}

// TestFileThatCannotBeWritten: messages are sent all the same.
func TestFileThatCannotBeWritten(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		if _, err := w.sender.store.db.Exec(`PRAGMA query_only = 1`); err != nil {
			t.Fatal(err)
		}
		p := listingtest.Publish(t, w.hub, "cats")
		pass(time.Second)
		p.Interrupt()
		pass(time.Second)
		w.want(0, "cats", "started", "interrupted")
		if !strings.Contains(w.log.String(), "cannot be written") {
			t.Error(w.log)
		}
	})
}

// TestClosingIsBounded: a receiver that hangs does not hold up the end, and nothing is lost.
func TestClosingIsBounded(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.sites[0].set(false, func(_ http.ResponseWriter, r *http.Request, _ event) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
		listingtest.Publish(t, w.hub, "cats")
		pass(time.Second)
		began := time.Now()
		w.close()
		if d := time.Since(began); d > flushTime {
			t.Errorf("closing took %s", d)
		}
		w.sites[0].set(false, nil)
		w.open()
		pass(time.Second)
		w.want(0, "cats", "started", "ended")
	})
}

// TestRelayedBroadcasts: of what comes from another server, an edge tells only who watches.
func TestRelayedBroadcasts(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		opus := siaran.TrackSpec{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}}
		p, err := w.hub.PublishFrom("cats", "o", []siaran.TrackSpec{opus}, siaran.Origin{ID: "b", Pulled: true})
		if err != nil {
			t.Fatal(err)
		}
		listingtest.Feed(t, p)
		listingtest.Join(t, p)
		pass(2 * time.Second)
		p.Stop()
		pass(time.Second)
		w.want(0, "cats", "viewers.changed", "viewers.changed")
	})
}

func TestReceiversThatAreNotInTheSettingsAnyMore(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.sites[0].set(true, nil)
		w.sites[1].set(true, nil)
		listingtest.Publish(t, w.hub, "cats")
		pass(time.Second)
		w.close()
		w.sites = w.sites[:1]
		w.open()
		synctest.Wait() // nobody writes to the log any more
		if !strings.Contains(w.log.String(), "not in the settings any more") {
			t.Error(w.log)
		}
		w.sites[0].set(false, nil)
		pass(time.Minute)
		w.want(0, "cats", "started", "ended")
	})
}

func TestFilesThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	st, err := openStore(t.Context(), filepath.Join(dir, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.db.Exec(`PRAGMA user_version = 9`); err != nil {
		t.Fatal(err)
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		filepath.Join(dir, "a.db"): "newer version", filepath.Join(dir, "none", "a.db"): "no such file",
	} {
		if _, err := Open(t.Context(), Config{Path: path}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
