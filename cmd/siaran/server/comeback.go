package server

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"siaran"
	"siaran/internal/lastlive"
)

// LastLiveFile is the file in the data folder that says what was live when the server stopped.
const LastLiveFile = "live.json"

const listTime = time.Second // for the listing to learn of broadcasts that go on, before clients are answered

// expectBroadcasters makes the broadcasts go on that the server had when it was stopped or killed, if that was no
// longer than the grace time ago, and keeps what is live for the next start.
func (s *server) expectBroadcasters() {
	path := filepath.Join(s.cfg.Data, LastLiveFile)
	list, err := lastlive.Read(path, s.cfg.Grace, time.Now())
	if err != nil {
		s.logger.Warn("cannot read what was live when the server stopped: broadcasts begin anew", "error", err)
	}
	if s.cfg.Demo { // which publishes with a token of its own each time
		list = slices.DeleteFunc(list, func(b siaran.BroadcastState) bool { return b.Stream == DemoStream })
	}
	s.hub.Expect(list)
	s.expected = len(list)
	if len(list) > 0 {
		s.logger.Info("waiting for the broadcasters of streams that were live when the server stopped",
			"streams", len(list), "for", s.cfg.Grace)
	}
	s.background(func(ctx context.Context) { lastlive.Keep(ctx, path, s.hub, s.logger) })
}

// awaitList waits until the listing knows of broadcasts that go on: otherwise pages would hear first that they are
// over.
func (s *server) awaitList(ctx context.Context) {
	if s.expected == 0 {
		return
	}
	select {
	case <-s.listed:
	case <-time.After(listTime):
	case <-ctx.Done():
	}
}
