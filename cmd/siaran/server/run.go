package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// ShutdownTime is the longest time that a server may take to end, after --drain has passed.
const ShutdownTime = 20 * time.Second

// NewLogger returns a logger that writes to w in the configured format and from the configured level, which can be
// changed.
func (c Config) NewLogger(w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(c.LogLevel)
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

// Run opens a server, calls ready when it can be used, and serves until ctx ends or a part of the server fails. On
// SIGHUP it reads its settings as again says. It returns when everything is closed, or at the latest ShutdownTime after
// ctx has ended and --drain has passed.
func Run(ctx context.Context, cfg Config, logger *slog.Logger, ready func(Banner), again Reload) error {
	cfg, err := cfg.Checked()
	if err != nil {
		return err
	}
	s, err := openServer(ctx, cfg, logger)
	if err != nil {
		return err
	}
	s.again = again
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, ready) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(cfg.Drain + ShutdownTime):
		return errors.New("some parts of the server did not end in time")
	}
}

// explainListen says what to do about a TCP address that cannot be opened.
func explainListen(flag, addr string, err error) error {
	switch {
	case inUse(err):
		return fmt.Errorf(
			"--%s %s: the port is in use: stop the other program, or choose another port with --%s: %w",
			flag, addr, flag, err,
		)
	case notPermitted(err):
		return fmt.Errorf(
			"--%s %s: this user may not open the port: choose one above 1023 with --%s, or allow this one "+
				"(setcap cap_net_bind_service=+ep siaran, or AmbientCapabilities in a systemd unit): %w",
			flag, addr, flag, err,
		)
	}
	return fmt.Errorf("--%s %s: %w", flag, addr, err)
}
