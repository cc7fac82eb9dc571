package server_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/testutil"
	"siaran/internal/tracing/tracingtest"
	"siaran/internal/whep"
	"siaran/internal/whip"
	"siaran/web/access"
)

const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
)

// follows is a client whose requests say that they belong to a trace.
type follows struct{ http.RoundTripper }

func (f follows) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Traceparent", "00-"+clientTrace+"-"+clientSpan+"-01")
	return f.RoundTripper.RoundTrip(r)
}

// TestTraces watches a broadcast, and finds a trace of each session with all that has happened, and no secret.
func TestTraces(t *testing.T) {
	c := tracingtest.Collect(t)
	t.Setenv("OTEL_SERVICE_NAME", "stage")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collector")
	s := harness.Start(t)
	client := &http.Client{Transport: follows{http.DefaultTransport}}
	token := s.Token(t, "cats", access.Publish)
	b := s.Broadcast(t, harness.Cats, token, harness.TwoMinutes, func(c *whip.Config) { c.Client = client })
	v := s.Watch(t, harness.Cats, func(c *whep.Config) { c.Client = client })
	v.WaitFrame(1)
	traceOf := func(route string) (of tracingtest.Span, all []tracingtest.Span) {
		spans := c.Spans()
		for _, span := range spans {
			if span.Name == "POST "+route && span.Attributes["http.response.status_code"] == "201" {
				of = span
			}
		}
		for _, span := range spans {
			if span.Parent == of.ID {
				all = append(all, span)
			}
		}
		return of, all
	}
	var request tracingtest.Span
	var parts []tracingtest.Span
	testutil.Eventually(t, "the join can be looked at while the viewer watches", func() bool {
		request, parts = traceOf("/whep/:stream")
		return len(parts) == 7
	})
	viewer, broadcaster := v.Session.Resource(), b.Session.Resource()
	if err := v.Session.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.Leave()
	b.Stop()
	s.Stop(t)

	check := func(route, reason, path string, want ...string) {
		t.Helper()
		request, parts = traceOf(route)
		var names []string
		for _, part := range parts {
			if part.Name != "session" {
				names = append(names, part.Name)
			}
			if part.Trace != request.Trace || part.EndTimeUnixNano < part.StartTimeUnixNano {
				t.Errorf("%s: %+v", route, part)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: the parts are %q", route, names)
		}
		at := slices.IndexFunc(parts, func(s tracingtest.Span) bool { return s.Name == "session" })
		if at < 0 {
			t.Fatalf("%s: the session is missing: %q", route, names)
		}
		a := parts[at].Attributes
		if a["siaran.end"] != reason || a["siaran.path"] != path || a["siaran.stream"] != "cats" ||
			a["siaran.session"] == "" {
			t.Errorf("%s: the session has %v", route, a)
		}
		if request.Resource["service.name"] != "stage" || request.Attributes["http.route"] != route {
			t.Errorf("%v, %v", request.Resource, request.Attributes)
		}
	}
	check("/whep/:stream", "left", "direct",
		"authorize", "offer", "ICE check", "ICE proof", "DTLS", "first packet", "first key frame", "PATCH restart", "DELETE")
	if request.Trace == clientTrace || len(request.Links) != 1 {
		t.Errorf("the viewer has chosen the trace: %+v", request)
	}
	check("/whip/:stream", "stopped", "udp",
		"authorize", "offer", "ICE", "DTLS", "first packet", "first key frame", "DELETE")
	if request.Trace != clientTrace || request.Parent != clientSpan {
		t.Errorf("the operator's broadcaster has chosen the trace in vain: %+v", request)
	}
	sent := c.Sent()
	if !strings.Contains(sent, "Authorization: Bearer collector") {
		t.Error("the collector has not got its header field")
	}
	for _, secret := range []string{token, viewer[strings.LastIndex(viewer, "/"):],
		broadcaster[strings.LastIndex(broadcaster, "/"):], "127.0.0.1:"} {
		if strings.Contains(sent, secret) {
			t.Errorf("%q was sent", secret)
		}
	}
}

// TestTraceOfAPull finds a trace of the session that has a stream come from another server.
func TestTraceOfAPull(t *testing.T) {
	c := tracingtest.Collect(t)
	origin := harness.Start(t)
	origin.Broadcast(t, harness.Cats, origin.Token(t, "cats", access.Publish), harness.TwoMinutes)
	edge := harness.Start(t, func(c *server.Config) { c.Parent, c.Node = origin.URL, "edge" })
	edge.Watch(t, harness.Cats).WaitFrame(1)
	edge.Stop(t)
	var pull tracingtest.Span
	var names []string
	for _, span := range c.Spans() {
		if span.Name == "pull" && span.Parent == "" && span.Status.GetCode() == 0 {
			pull = span
		}
	}
	for _, span := range c.Spans() {
		if span.Parent != "" && span.Parent == pull.ID {
			names = append(names, span.Name)
			if span.Name == "session" && (span.Attributes["siaran.path"] != "udp" || span.Attributes["siaran.end"] == "") {
				t.Errorf("the session has %v", span.Attributes)
			}
			if span.EndTimeUnixNano < span.StartTimeUnixNano {
				t.Errorf("%s ends before it begins", span.Name)
			}
		}
	}
	slices.Sort(names)
	want := []string{"DTLS", "ICE", "answer", "first key frame", "first packet", "offer", "session"}
	if !slices.Equal(names, want) || pull.Attributes["siaran.stream"] != "cats" {
		t.Errorf("the parts of %v are %q", pull.Attributes, names)
	}
}

// TestHangingCollector serves a viewer, and ends, while the collector of traces does not answer.
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
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	s := harness.Start(t)
	s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	<-asked
	s.Watch(t, harness.Cats).WaitFrame(1)
	s.Stop(t) // fails after server.ShutdownTime
}
