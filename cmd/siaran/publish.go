package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"siaran/internal/clip"
	"siaran/internal/demo"
	"siaran/internal/publish"
	"siaran/internal/whip"
)

type publishCommand struct {
	URL   string `name:"url" required:"" placeholder:"URL"`
	Token string `placeholder:"TOKEN"`
	Demo  bool
	Files []string `arg:"" optional:"" name:"file"`
	Loop  bool
	Once  bool
}

// Run broadcasts until the files end or ctx ends.
func (p publishCommand) Run(ctx context.Context, c console) error {
	media, err := p.open()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(c.err, nil))
	endpoint := whip.Config{URL: p.URL, Token: p.Token}
	options := publish.Options{Loop: p.Loop || p.Demo, Once: p.Once}
	err = publish.Clip(ctx, endpoint, media, options, logger)
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
