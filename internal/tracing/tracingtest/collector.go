// Package tracingtest has a collector of traces for tests.
package tracingtest

import (
	"cmp"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes traces over OTLP/HTTP.
type Collector struct {
	*httptest.Server

	mu       sync.Mutex
	spans    []Span
	requests []string // header fields and body
}

// Span is a span that has come.
type Span struct {
	Trace, ID, Parent string // in hex; Parent is empty for a root
	*otlp.Span
	Attributes map[string]string // of the span
	Resource   map[string]string
}

// Collect starts a collector, and names it in the environment of the test.
func Collect(t *testing.T) *Collector {
	c := &Collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20") // milliseconds
	return c
}

func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	var text strings.Builder
	_ = r.Header.Write(&text)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, text.String()+string(body))
	for _, of := range request.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, Span{
					hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId), hex.EncodeToString(s.ParentSpanId), s,
					texts(s.Attributes), texts(of.Resource.GetAttributes()),
				})
			}
		}
	}
}

func texts(list []*common.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, a := range list {
		m[a.Key] = a.Value.GetStringValue()
		if n, ok := a.Value.GetValue().(*common.AnyValue_IntValue); ok {
			m[a.Key] = strconv.FormatInt(n.IntValue, 10)
		}
	}
	return m
}

// Spans are those that have come so far, by their beginning.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.Clone(c.spans)
	slices.SortStableFunc(list, func(a, b Span) int { return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano) })
	return list
}

// Sent is everything that has come, header fields included.
func (c *Collector) Sent() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.requests, "\n")
}
