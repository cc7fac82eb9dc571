package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"siaran/internal/measure"
)

// flushTime is how long the collector has, at the end, to take what waits.
const flushTime = 2 * time.Second

// Tracer makes traces of sessions. Its methods may be called from any goroutine.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	stop     context.CancelFunc // of requests to the collector
	queue    *queue
}

// Stats counts spans.
type Stats struct {
	Sent    uint64
	Refused uint64 // by the collector, or it did not answer
	Full    uint64 // there was no room in the queue
}

// Stats counts spans since the start.
func (t *Tracer) Stats() Stats {
	return Stats{t.queue.sent.Load(), t.queue.refused.Load(), t.queue.full.Load()}
}

// Open begins to send traces as the environment says (OTEL_EXPORTER_OTLP_ENDPOINT and its like). node is this server's
// name.
func Open(ctx context.Context, version, node string, logger *slog.Logger) (*Tracer, error) {
	if err := check(); err != nil {
		return nil, err
	}
	// These are of the whole process. The SDK tells them of settings that it passes over.
	otel.SetLogger(logr.FromSlogHandler(logger.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("a problem with traces; check the OTEL_ variables", "error", short(err))
	}))

	own := []attribute.KeyValue{semconv.ServiceName("siaran"), semconv.ServiceVersion(version)}
	if node != "" {
		own = append(own, semconv.ServiceInstanceID(node))
	}
	about, err := resource.New(ctx, resource.WithAttributes(own...), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	to, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	life, stop := context.WithCancel(context.Background())
	q := &queue{most: int64(queueSize())}
	q.SpanProcessor = sdk.NewBatchSpanProcessor(
		&exporter{SpanExporter: to, life: life, logger: logger, queue: q}, sdk.WithMaxQueueSize(int(q.most)))
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSpanProcessor(q))
	return &Tracer{provider: provider, tracer: provider.Tracer("siaran"), stop: stop, queue: q}, nil
}

// Close sends what waits, for flushTime at most, and stops.
func (t *Tracer) Close() error {
	late := time.AfterFunc(flushTime, t.stop)
	defer t.stop()
	defer late.Stop()
	return t.provider.Shutdown(context.Background()) // once stop was called, nothing in it waits
}

// Begin begins the trace of a request to open a session. Whoever is not trusted cannot decide by a traceparent whether
// the session is traced, nor add to a trace: there is only a link to what it names.
func (t *Tracer) Begin(o measure.Opening) measure.Trace {
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(o.At), trace.WithAttributes(
			semconv.HTTPRequestMethodKey.String(o.Method), semconv.HTTPRoute(o.Route),
			attribute.String("siaran.stream", o.Stream)),
	}
	ctx := context.Background()
	named := propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(o.Header))
	switch client := trace.SpanContextFromContext(named); {
	case !client.IsValid():
	case o.Trusted:
		ctx = named
	default:
		link := trace.Link{SpanContext: client.WithTraceState(trace.TraceState{})}
		options = append(options, trace.WithLinks(link))
	}
	return t.begin(ctx, o.Method+" "+o.Route, options)
}

// BeginPull begins the trace of a session that has a stream come from another server.
func (t *Tracer) BeginPull(stream string, at time.Time) measure.Trace {
	return t.begin(context.Background(), "pull", []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(at),
		trace.WithAttributes(attribute.String("siaran.stream", stream)),
	})
}

func (t *Tracer) begin(ctx context.Context, name string, options []trace.SpanStartOption) measure.Trace {
	_, span := t.tracer.Start(ctx, name, options...)
	if !span.IsRecording() {
		return measure.NoTrace
	}
	parent := trace.ContextWithSpanContext(context.Background(), span.SpanContext())
	return &session{tracer: t.tracer, ctx: parent, request: span}
}

// maxParts bounds the spans of a session: its client can make a request that changes it as often as it likes.
const maxParts = 64

// session is the trace of one session.
type session struct {
	tracer  trace.Tracer
	ctx     context.Context // says that spans are children of the request's
	request trace.Span      // nil when it was answered: a session lasts longer
	parts   atomic.Int32
}

func (s *session) Part(name string, from, to time.Time) {
	if s.parts.Add(1) > maxParts {
		return
	}
	_, span := s.tracer.Start(s.ctx, name, trace.WithTimestamp(from))
	span.End(trace.WithTimestamp(to))
}

func (s *session) Answered(status int, at time.Time) {
	if status != 0 {
		s.request.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	if status == 0 || status >= 500 {
		s.request.SetStatus(codes.Error, "")
	}
	s.request.End(trace.WithTimestamp(at))
	s.request = nil
}

func (s *session) End(e measure.SessionEnd) {
	_, span := s.tracer.Start(s.ctx, "session", trace.WithTimestamp(e.From))
	for _, a := range []struct{ key, value string }{
		{"stream", e.Stream}, {"session", e.Session}, {"viewer", e.Viewer}, {"path", e.Path}, {"end", e.Reason},
	} {
		if a.value != "" {
			span.SetAttributes(attribute.String("siaran."+a.key, a.value))
		}
	}
	if e.Failed {
		span.SetStatus(codes.Error, e.Reason)
	}
	span.End(trace.WithTimestamp(e.To))
}
