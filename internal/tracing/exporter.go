package tracing

import (
	"context"
	"log/slog"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// exporter stands between the queue and the collector: it can stop waiting, and logs once while the collector fails.
type exporter struct {
	sdk.SpanExporter
	life   context.Context // of all requests
	logger *slog.Logger
	queue  *queue

	// The queue calls ExportSpans from one goroutine at a time.
	lost int // spans since the collector took any
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.queue.leave(len(spans), err == nil)
	switch {
	case err != nil && e.lost == 0:
		e.logger.Warn("the collector of traces does not take them; they are dropped until it does", "error", short(err))
	case err == nil && e.lost > 0:
		e.logger.Info("the collector takes traces again", "dropped", e.lost)
		e.lost = 0
	}
	if err != nil {
		e.lost += len(spans)
	}
	return nil
}

// short bounds what a collector can write into the log.
func short(err error) string {
	text := err.Error()
	return text[:min(len(text), 300)]
}
