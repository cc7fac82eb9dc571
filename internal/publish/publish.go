package publish

import (
	"context"
	"log/slog"

	"siaran/internal/clip"
	"siaran/internal/whip"
)

// Options say how often a clip is broadcast.
type Options struct {
	Loop bool // start again at the end of the clip
	Once bool // give up when the connection fails, instead of connecting again
}

// Clip broadcasts a clip until it ends or ctx does. Each session starts at the beginning of the clip, which is a key
// frame. The tracks of cfg are set from the clip.
func Clip(ctx context.Context, cfg whip.Config, media *clip.Clip, o Options, logger *slog.Logger) error {
	cfg.Tracks = nil
	for _, t := range media.Tracks() {
		cfg.Tracks = append(cfg.Tracks, t.Codec)
	}
	return whip.Publish(ctx, cfg, o.Once, logger, func(ctx context.Context, s *whip.Session) error {
		return media.Play(ctx, o.Loop, func(track int, f clip.Frame) error { return s.Write(track, f.Data, f.At) })
	})
}
