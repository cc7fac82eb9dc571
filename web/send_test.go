package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"siaran"
)

// wordy answers every offer with so much that net/http would not set the length by itself.
type wordy struct{ Viewers }

func (wordy) Offer(context.Context, siaran.StreamName, string, netip.Addr, []byte) (siaran.Answer, error) {
	return siaran.Answer{Session: "s", Tag: "t",
		SDP: []byte("v=0\r\n" + strings.Repeat("a=candidate:1 1 udp 1 2001:db8::1 8189 typ host\r\n", 100))}, nil
}

// TestLengthIsTold: every answer whose body is known as a whole has its length. Some clients, such as older versions of
// FFmpeg, cannot read chunks.
func TestLengthIsTold(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) {
		s.echo.GET("/api/wrong", func(echo.Context) error { return fail(invalidValue, "%s", strings.Repeat("long ", 1000)) })
		s.echo.HEAD("/api/wrong", func(echo.Context) error { return fail(invalidValue, "%s", strings.Repeat("long ", 1000)) })
	}, func(c *Config) {
		c.Ingest, c.Egress = wordy{c.Egress}, wordy{c.Egress}
		c.ICEServers = func(siaran.SessionID, string) (list []ICEServer) {
			for i := range 100 {
				list = append(list, ICEServer{URLs: []string{fmt.Sprintf("stun:stun%d.example.org:3478", i)}})
			}
			return list
		}
	})
	title := strings.Repeat("title ", 20)
	for i := range 30 {
		_, err := s.listing.Edit(t.Context(), siaran.StreamName(fmt.Sprintf("stream-%d", i)),
			siaran.StreamEdit{Title: &title})
		s.must(err)
	}
	about := strings.Repeat("about ", 300)
	_, err := s.listing.Edit(t.Context(), "cats", siaran.StreamEdit{Title: &title, Description: &about})
	s.must(err)
	calls := []call{
		call{method: "POST", path: "/whip/cats", token: s.admin, body: "v=0"}.with(sdpBody...),
		call{method: "POST", path: "/whep/cats", body: "v=0"}.with(sdpBody...),
		{method: "GET", path: "/api/streams?status=all"},
		{method: "GET", path: "/api/streams/cats"},
		{method: "GET", path: "/api/wrong"},
		{method: "GET", path: "/api/ice"},
		{method: "GET", path: "/api/openapi.yaml"},
		{method: "GET", path: "/watch/cats"},
		{method: "GET", path: "/nothing"},
		call{method: "GET", path: "/nothing"}.with("Accept", "text/html"),
		{method: "DELETE", path: "/whep/cats/nothing"},
		{method: "OPTIONS", path: "/whep/cats"},
	}
	for _, page := range []string{"/", "/studio", "/embed/cats", "/favicon.ico", "/robots.txt"} {
		calls = append(calls, call{method: "GET", path: page})
	}
	for file := range s.server.assets.byPath {
		calls = append(calls, call{method: "GET", path: "/static/" + file})
	}
	for _, c := range calls {
		for _, coding := range []string{"identity", "gzip"} {
			c = c.with("Accept-Encoding", coding)
			r := s.do(c)
			if r.ContentLength != int64(len(r.body)) || len(r.TransferEncoding) > 0 {
				t.Errorf("%s %s in %s: %d, length %d, body of %d, %v", c.method, c.path, coding, r.StatusCode,
					r.ContentLength, len(r.body), r.TransferEncoding)
			}
			if c.method != "GET" {
				continue
			}
			c.method = "HEAD"
			head := s.do(c)
			if head.StatusCode != r.StatusCode || head.ContentLength != r.ContentLength || head.body != "" {
				t.Errorf("HEAD %s in %s: %d and length %d, where GET has %d and %d", c.path, coding, head.StatusCode,
					head.ContentLength, r.StatusCode, r.ContentLength)
			}
			c.method = "GET"
		}
	}
}

// TestPartsOfPackedFiles: the length is that of what is sent, even if that is a part, or nothing.
func TestPartsOfPackedFiles(t *testing.T) {
	t.Parallel()
	s := start(t)
	file := call{method: "GET", path: "/static/js/receiver.js"}.with("Accept-Encoding", "gzip")
	whole := s.do(file)
	z, err := gzip.NewReader(strings.NewReader(whole.body))
	s.must(err)
	text, err := io.ReadAll(z)
	s.must(err)
	if a := s.server.assets.byPath["js/receiver.js"]; !bytes.Equal(text, a.body) || len(a.body) < 2048 {
		t.Fatalf("%d bytes", len(text))
	}
	for _, tt := range []struct {
		field, value string
		status       int
		length       int
	}{
		{"Range", "bytes=10-19", 206, 10}, {"If-None-Match", whole.Header.Get("ETag"), 304, 0}, {"If-Match", `"x"`, 412, 0},
	} {
		r := s.do(file.with(tt.field, tt.value))
		if r.StatusCode != tt.status || len(r.body) != tt.length || r.ContentLength > int64(tt.length) {
			t.Errorf("%s %s: %d, %d bytes, length %d", tt.field, tt.value, r.StatusCode, len(r.body), r.ContentLength)
		}
	}
}
