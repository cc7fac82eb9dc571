package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
}

// Open begins to send traces as the environment says (OTEL_EXPORTER_OTLP_ENDPOINT and its like). node is this server's
// name.
func Open(ctx context.Context, version, node string, logger *slog.Logger) (*Tracer, error) {
	if err := check(); err != nil {
		return nil, err
	}
	// These are of the whole process. The SDK tells them of settings that it passes over.
	otel.SetLogger(logr.FromSlogHandler(logger.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("tracing", "error", short(err)) }))

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
	provider := sdk.NewTracerProvider(
		sdk.WithResource(about), sdk.WithBatcher(&exporter{SpanExporter: to, life: life, logger: logger}))
	return &Tracer{provider: provider, tracer: provider.Tracer("siaran"), stop: stop}, nil
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
	_, span := t.tracer.Start(ctx, o.Method+" "+o.Route, options...)
	if !span.IsRecording() {
		return measure.NoTrace
	}
	parent := trace.ContextWithSpanContext(context.Background(), span.SpanContext())
	return &session{tracer: t.tracer, ctx: parent, request: span}
}

// session is the trace of one session.
type session struct {
	tracer  trace.Tracer
	ctx     context.Context // says that spans are children of the request's
	request trace.Span      // nil when it was answered: a session lasts longer
}

func (s *session) Part(name string, from, to time.Time) {
	_, span := s.tracer.Start(s.ctx, name, trace.WithTimestamp(from))
	span.End(trace.WithTimestamp(to))
}

func (s *session) Answered(status int, at time.Time) {
	s.request.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= 500 {
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
