package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// shutdownTime bounds how long a server takes to end.
const shutdownTime = 20 * time.Second

// Run serves until ctx ends.
func (c Config) Run(ctx context.Context, con console) error {
	cfg, err := c.checked()
	if err != nil {
		return err
	}
	logger := newLogger(cfg, con.err)
	err = run(ctx, cfg, logger, func(f facts) {
		if cfg.LogFormat == "json" {
			f.log(logger)
		} else {
			f.print(con.out)
		}
	})
	if err == nil {
		logger.Info("ended")
	}
	return err
}

func newLogger(cfg Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// run opens a server, calls ready when it can be used, and serves until ctx ends or a part of it
// fails. It returns when everything has been closed, or shutdownTime after ctx has ended.
func run(ctx context.Context, cfg Config, logger *slog.Logger, ready func(facts)) error {
	s, err := openServer(ctx, cfg, logger)
	if err != nil {
		return err
	}
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
	case <-time.After(shutdownTime):
		return errors.New("some parts of the server did not end in time")
	}
}

// explainListen says what to do about a TCP address that cannot be opened.
func explainListen(flag, addr string, err error) error {
	switch {
	case inUse(err):
		return fmt.Errorf("--%s %s: the port is in use: stop the other program, or choose another port with --%s: %w", flag, addr, flag, err)
	case notPermitted(err):
		return fmt.Errorf("--%s %s: this user may not open the port: choose one above 1023 with --%s, or allow it (setcap cap_net_bind_service=+ep siaran, or AmbientCapabilities in a systemd unit): %w", flag, addr, flag, err)
	}
	return fmt.Errorf("--%s %s: %w", flag, addr, err)
}
