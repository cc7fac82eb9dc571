package tracing_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"siaran/internal/measure"
	"siaran/internal/testutil"
	"siaran/internal/tracing"
	"siaran/internal/tracing/tracingtest"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
)

func open(t *testing.T) *tracing.Tracer {
	t.Helper()
	tracer, err := tracing.Open(t.Context(), "1", "node", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

func opening(traceparent string, trusted bool) measure.Opening {
	return measure.Opening{
		Method: "POST", Route: "/whep/:stream", Stream: "cats", At: time.Now(), Trusted: trusted,
		Header: http.Header{"Traceparent": {traceparent}, "Tracestate": {"vendor=secret"}},
	}
}

// TestTraceparent finds that whether a session is traced, and in which trace, is decided by nobody who is not trusted.
func TestTraceparent(t *testing.T) {
	for _, test := range []struct {
		name, sampler, flags string
		trusted              bool
		traced, joined       bool
	}{
		{"a stranger forces nothing", "parentbased_always_off", "01", false, false, false},
		{"a stranger prevents nothing", "parentbased_always_on", "00", false, true, false},
		{"a trusted client asks for a trace", "parentbased_always_off", "01", true, true, true},
		{"a trusted client asks for none", "parentbased_always_on", "00", true, false, false},
		{"a stranger does not choose a trace that is in the sample", "parentbased_traceidratio", "01", false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_SAMPLER", test.sampler)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
			c := tracingtest.Collect(t)
			tracer := open(t)
			s := tracer.Begin(opening("00-"+clientTrace+"-"+clientSpan+"-"+test.flags, test.trusted))
			s.Answered(201, time.Now())
			s.End(measure.SessionEnd{Stream: "cats", Reason: "left"})
			if err := tracer.Close(); err != nil {
				t.Fatal(err)
			}
			spans := c.Spans()
			if !test.traced {
				if len(spans) != 0 || s != measure.NoTrace {
					t.Fatalf("%d spans", len(spans))
				}
				return
			}
			if len(spans) != 2 {
				t.Fatalf("%d spans", len(spans))
			}
			for _, span := range spans {
				if joined := span.Trace == clientTrace; joined != test.joined {
					t.Errorf("%s is in trace %s", span.Name, span.Trace)
				}
				if span.Kind == 2 && (span.Parent == clientSpan) != test.joined { // of the request
					t.Errorf("the parent is %s", span.Parent)
				}
				if span.Kind == 2 && (len(span.Links) == 1) == test.joined {
					t.Errorf("links: %v", span.Links)
				}
			}
			if !test.joined && strings.Contains(c.Sent(), "vendor") {
				t.Error("a stranger writes into traces")
			}
		})
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	f.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
	tracer, err := tracing.Open(f.Context(), "1", "", slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = tracer.Close() })
	f.Add("00-"+clientTrace+"-"+clientSpan+"-01", "a=b")
	f.Add("ff-0-0-01", "=,=")
	f.Fuzz(func(t *testing.T, parent, state string) {
		o := opening(parent, false)
		o.Header["Tracestate"] = []string{state}
		if tracer.Begin(o) != measure.NoTrace {
			t.Error("a stranger has forced a trace")
		}
	})
}

// TestHangingCollector fills the queue while the collector does not answer. Neither sessions nor Close wait for it,
// although the environment says to wait for an hour.
func TestHangingCollector(t *testing.T) {
	asked, done := make(chan struct{}, 100), make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-done
	}))
	defer hanging.Close()
	defer close(done)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", hanging.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
	tracer := open(t)
	for range 100 {
		s := tracer.Begin(opening("", false))
		s.Part("offer", time.Now(), time.Now())
		s.Answered(201, time.Now())
	}
	<-asked
	for range 1000 {
		tracer.Begin(opening("", false)).Answered(201, time.Now())
	}
	if s := tracer.Stats(); s.Sent+s.Refused != 0 || s.Full < 1000-64 {
		t.Errorf("%+v", s)
	}
	if err := tracer.Close(); err != nil {
		t.Error(err)
	}
	if s := tracer.Stats(); s.Sent != 0 || s.Refused == 0 || s.Refused+s.Full > 1200 {
		t.Errorf("at the end: %+v", s)
	}
	tracer.Begin(opening("", false)).End(measure.SessionEnd{}) // a session that ends late harms nothing
}

func TestBadSettings(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "as http://localhost:4318"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://", "as http://localhost:4318"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:secret@host", "OTEL_EXPORTER_OTLP_HEADERS"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://%zz", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "secret", "key=value"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=%secret", "key=value"},
	} {
		t.Run(fmt.Sprintf("%s=%s", test.name, test.value), func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
			t.Setenv(test.name, test.value)
			_, err := tracing.Open(t.Context(), "1", "", slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Error(err)
			}
		})
	}
	if tracing.Wanted() {
		t.Error("traces are wanted without a collector")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
	if !tracing.Wanted() {
		t.Error("traces are not wanted")
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if tracing.Wanted() {
		t.Error("traces are wanted although OpenTelemetry is off")
	}
}

// BenchmarkSession is what the trace of one session costs the goroutines of the session.
func BenchmarkSession(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	tracer, err := tracing.Open(b.Context(), "1", "node", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = tracer.Close() }()
	o := opening("", false)
	b.ReportAllocs()
	for b.Loop() {
		s := tracer.Begin(o)
		for _, part := range []string{"authorize", "offer", "ICE check", "ICE proof", "DTLS", "first packet"} {
			s.Part(part, o.At, o.At)
		}
		s.Answered(201, o.At)
		s.End(measure.SessionEnd{Stream: "cats", Session: "abc", Viewer: "def", Reason: "left", From: o.At, To: o.At})
	}
}
