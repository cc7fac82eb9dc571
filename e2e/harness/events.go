package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// EventStream is a dashboard without a screen: it hears from a server what is live, and when it heard it.
type EventStream struct {
	t testing.TB

	mu     sync.Mutex
	lives  map[string]Stream
	states []heardState
}

// heardState is what was live after an event.
type heardState struct {
	at    time.Time
	lives map[string]Stream // not changed any more
}

// FollowEvents hears what is live until the test ends.
func (s *Server) FollowEvents(t testing.TB) *EventStream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/streams/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	f := &EventStream{t: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.read(bufio.NewScanner(res.Body))
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		res.Body.Close()
	})
	f.Wait("the first list", func(map[string]Stream) bool { return true })
	return f
}

func (f *EventStream) read(lines *bufio.Scanner) {
	var event string
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			f.hear(time.Now(), event, []byte(data))
		}
	}
}

func (f *EventStream) hear(at time.Time, event string, data []byte) {
	var all struct{ Streams []Stream }
	var one Stream
	var err error
	if event == "snapshot" {
		err = json.Unmarshal(data, &all)
	} else {
		err = json.Unmarshal(data, &one)
	}
	if err != nil {
		f.t.Errorf("%s: %v in %q", event, err, data)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch event {
	case "snapshot":
		f.lives = make(map[string]Stream)
		for _, s := range all.Streams {
			f.lives[s.Name] = s
		}
	case "stream":
		f.lives[one.Name] = one
	case "gone":
		delete(f.lives, one.Name)
	}
	f.states = append(f.states, heardState{at, maps.Clone(f.lives)})
}

// Wait returns when the follower first heard what is wanted.
func (f *EventStream) Wait(what string, wanted func(lives map[string]Stream) bool) (at time.Time) {
	f.t.Helper()
	Eventually(f.t, "heard: "+what, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, state := range f.states {
			if wanted(state.lives) {
				at = state.at
				return true
			}
		}
		return false
	})
	return at
}

// Forget has wait look at nothing that was heard before now, but for what is live now.
func (f *EventStream) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states = []heardState{{time.Now(), maps.Clone(f.lives)}}
}
