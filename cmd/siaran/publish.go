package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"siaran/cmd/siaran/internal/clip"
	"siaran/cmd/siaran/internal/demo"
	"siaran/cmd/siaran/internal/whip"
)

type publishCommand struct {
	URL   string   `name:"url" required:"" placeholder:"URL" help:"WHIP endpoint, such as http://host:8080/whip/cats."`
	Token string   `placeholder:"TOKEN" help:"Token that allows to publish. As SIARAN_TOKEN it does not show in the list of processes."`
	Demo  bool     `help:"Broadcast the built-in clip, again and again."`
	Files []string `arg:"" optional:"" name:"file" help:"A file with video (IVF with VP8, VP9 or AV1; H264 Annex B), one with audio (OGG with Opus), or one of each."`
	Loop  bool     `help:"Begin again at the end, without a seam."`
	Once  bool     `help:"Give up when the connection fails or is lost, instead of trying again."`
}

// Run broadcasts until the files end or ctx does.
func (p publishCommand) Run(ctx context.Context, c console) error {
	media, err := p.open()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(c.err, nil))
	err = publishClip(ctx, whip.Config{URL: p.URL, Token: p.Token}, media, p.Loop || p.Demo, p.Once, logger)
	if err == nil {
		fmt.Fprintln(c.err, "The broadcast has ended.")
	}
	return err
}

func (p publishCommand) open() (*clip.Clip, error) {
	switch {
	case p.Demo && len(p.Files) > 0:
		return nil, errors.New("give --demo or files, not both")
	case p.Demo:
		return demo.Clip()
	case len(p.Files) == 0:
		return nil, errors.New("give a file, or --demo for the built-in clip")
	}
	return clip.Open(p.Files...)
}

// publishClip broadcasts a clip; each session begins with its beginning, which is a key frame.
func publishClip(ctx context.Context, cfg whip.Config, media *clip.Clip, loop, once bool, logger *slog.Logger) error {
	cfg.Tracks = nil
	for _, t := range media.Tracks() {
		cfg.Tracks = append(cfg.Tracks, t.Codec)
	}
	return whip.Publish(ctx, cfg, once, logger, func(ctx context.Context, s *whip.Session) error {
		return media.Play(ctx, loop, func(track int, f clip.Frame) error { return s.Write(track, f.Data, f.At) })
	})
}
