package ingest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/pion/webrtc/v3"
)

// lockedBuffer takes a log of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestNoErrorsAreLoggedWhereAllIsWell: users quote the lines of level error.
func TestNoErrorsAreLoggedWhereAllIsWell(t *testing.T) {
	var out lockedBuffer
	s := start(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	defer b.sendFrames()()
	follow(t, s.live(t, "cats").Video().Layers[0], 3)
	if text := out.String(); strings.Contains(text, "level=error") || strings.Contains(text, "unhandled") {
		t.Errorf("the log says:\n%s", text)
	}
}
