package main

import (
	"context"
	"strings"
	"testing"

	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestPublishCommand broadcasts a file to its end, and leaves nothing behind.
func TestPublishCommand(t *testing.T) {
	s := harness.Start(t)
	t.Setenv("SIARAN_TOKEN", s.Token(t, "cats", access.Publish))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type result struct {
		code        int
		out, stderr string
	}
	ended := make(chan result, 1)
	go func() {
		code, out, stderr := command(ctx, "publish", "--url", s.WHIP(harness.Cats), "--loop",
			"../../internal/clip/testdata/vp8.ivf", "../../internal/clip/testdata/tone.ogg")
		ended <- result{code, out, stderr}
	}()
	harness.Eventually(t, "live", func() bool { return s.Stream(t, harness.Cats).Status == "live" })
	v := s.Watch(t, harness.Cats)
	harness.Eventually(t, "several rounds arrive", func() bool {
		return len(v.VideoFrames()) > 30 && len(v.AudioFrames()) > 50
	})
	for i, f := range v.VideoFrames()[1:] {
		if step := int32(f.Timestamp - v.VideoFrames()[i].Timestamp); step <= 0 || step > 5*90000 {
			t.Errorf("a step of %d", step)
		}
	}
	cancel() // as Ctrl-C does
	if r := <-ended; r.code != 0 || r.out != "" {
		t.Errorf("%+v", r)
	}
	harness.Eventually(t, "offline at once", func() bool { return s.Stream(t, harness.Cats).Status == "offline" })

	t.Setenv("SIARAN_TOKEN", "")
	code, _, stderr := command(t.Context(), "publish", "--url", s.WHIP(harness.Cats), "--demo")
	if code != 1 || !strings.Contains(stderr, "siaran token") {
		t.Errorf("without a token: %d %q", code, stderr)
	}
	code, _, stderr = command(t.Context(), "publish", "--url", s.WHIP(harness.Cats), "--token", s.Admin,
		"../../internal/clip/testdata/vp8.ivf")
	if code != 0 {
		t.Errorf("once through: %d %q", code, stderr)
	}
}
