// Package lastlive keeps in a file what is live on this server, for the server that is started after it on the same
// data. However this one stops, the next one knows for whom to wait.
package lastlive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"siaran"
)

const (
	signEvery = 5 * time.Second        // while anything is live
	pause     = 200 * time.Millisecond // between two writes
	maxFile   = 8 << 20                // bytes
)

// content is what is in the file.
type content struct {
	At         time.Time `json:"at"` // the last sign of life of the server
	Broadcasts []record  `json:"broadcasts"`
}

type record struct {
	Stream    siaran.StreamName   `json:"stream"`
	ID        siaran.BroadcastID  `json:"id"`
	Owner     string              `json:"owner"`
	StartedAt time.Time           `json:"startedAt"`
	Video     *siaran.VideoState  `json:"video,omitempty"`
	Audio     *siaran.AudioState  `json:"audio,omitempty"`
	Layers    []siaran.LayerState `json:"layers,omitempty"`
	Peak      int                 `json:"peak"`
	Total     int                 `json:"total"`
	Moves     int                 `json:"moves,omitempty"`
}

// Read returns what was live when a server stopped no longer than within ago. There need not be a file.
func Read(path string, within time.Duration, now time.Time) ([]siaran.BroadcastState, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // it is only read
	var c content
	if err := json.NewDecoder(io.LimitReader(f, maxFile)).Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if age := now.Sub(c.At); age.Abs() > within {
		return nil, nil
	}
	var list []siaran.BroadcastState
	for _, r := range c.Broadcasts {
		if _, err := siaran.ParseStreamName(string(r.Stream)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, siaran.BroadcastState{
			Stream: r.Stream, ID: r.ID, Owner: r.Owner, StartedAt: r.StartedAt, Video: r.Video, Audio: r.Audio,
			Layers: r.Layers, PeakViewers: r.Peak, TotalViewers: r.Total, Moves: r.Moves,
		})
	}
	return list, nil
}

// keeper writes the file.
type keeper struct {
	path   string
	log    *slog.Logger
	live   map[siaran.BroadcastID]siaran.BroadcastState
	failed bool
	empty  bool      // the file says that nothing is live
	at     time.Time // of the last write
}

// Keep writes what begins and ends in a hub to the file until ctx ends. By then the hub should be closed: broadcasts
// that end with the server stay in the file. A file that cannot be written costs a warning and nothing else.
func Keep(ctx context.Context, path string, hub *siaran.Hub, log *slog.Logger) {
	k := &keeper{path: path, log: log, live: make(map[siaran.BroadcastID]siaran.BroadcastState)}
	feed := hub.Feed()
	defer feed.Close()
	k.take(feed.Take())
	k.write()
	timer := time.NewTimer(signEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			k.take(feed.Take())
			k.write()
			return
		case <-feed.Ready():
			if k.take(feed.Take()) {
				timer.Reset(pause - time.Since(k.at)) // at once, if the last one was long ago
			}
		case <-timer.C:
			if len(k.live) > 0 || !k.empty {
				k.write()
			}
			timer.Reset(signEvery)
		}
	}
}

// take reports whether other broadcasts are live than before.
func (k *keeper) take(changes []siaran.Change) (others bool) {
	for _, c := range changes {
		s := c.State
		_, known := k.live[s.ID]
		switch {
		case s.EndReason == siaran.EndShutdown: // here to stay
		case s.Pulled, s.Status == siaran.StatusOffline: // what is pulled comes again when it is asked for
			delete(k.live, s.ID)
			others = others || known
		default:
			k.live[s.ID] = s
			others = others || !known
		}
	}
	return others
}

// write replaces the file. It need not outlast a loss of power: that takes longer than any broadcaster is waited for.
func (k *keeper) write() {
	k.at = time.Now()
	c := content{At: k.at, Broadcasts: []record{}}
	for _, s := range k.live {
		c.Broadcasts = append(c.Broadcasts, record{
			Stream: s.Stream, ID: s.ID, Owner: s.Owner, StartedAt: s.StartedAt, Video: s.Video, Audio: s.Audio,
			Layers: s.Layers, Peak: s.PeakViewers, Total: s.TotalViewers, Moves: s.Moves,
		})
	}
	slices.SortFunc(c.Broadcasts, func(a, b record) int { return strings.Compare(string(a.Stream), string(b.Stream)) })
	text, _ := json.Marshal(c) // it can always be marshalled
	err := os.WriteFile(k.path+".new", text, 0o600)
	if err == nil {
		err = os.Rename(k.path+".new", k.path)
	}
	if err != nil && !k.failed {
		k.log.Warn("cannot write down what is live: after a restart of the server broadcasts will begin anew",
			"error", err)
	}
	k.failed, k.empty = err != nil, err == nil && len(k.live) == 0
}
