package server

import (
	"context"

	"siaran/internal/tracing"
)

// openTracing begins to send traces if the environment asks for it. It is the SDK of OpenTelemetry that reads it.
func (s *server) openTracing(ctx context.Context) (err error) {
	if !tracing.Wanted() {
		return nil
	}
	if s.tracer, err = tracing.Open(ctx, s.build().Version, s.cfg.Node, s.logger); err != nil {
		return err
	}
	s.closers = append(s.closers, s.tracer.Close)
	return nil
}
