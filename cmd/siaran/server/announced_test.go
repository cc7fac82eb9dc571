package server_test

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// TestPublicAddressesInAnswers: all of --public-ip are announced, for UDP and then for TCP.
func TestPublicAddressesInAnswers(t *testing.T) {
	s := harness.Start(t, func(c *server.Config) {
		c.PublicIP = []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}
	})
	offer := harness.ReadFile(t, "..", "..", "..", "internal", "sdp", "testdata", "offers", "whip-chromium.sdp")
	r := s.Request(t, http.MethodPost, s.WHIP("cats"), s.Admin, "application/sdp", string(offer))
	var got []string
	for line := range strings.Lines(r.Body) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "a=candidate:"); found {
			fields := strings.Fields(value)
			got = append(got, fields[2]+" "+fields[4])
		}
	}
	if want := []string{"udp 203.0.113.7", "udp 2001:db8::7", "tcp 203.0.113.7", "tcp 2001:db8::7"}; !slices.Equal(got,
		want) {
		t.Errorf("%d: announced are %q", r.StatusCode, got)
	}
}

// TestDiscoveredAddress has a STUN server that sees the media port elsewhere, and then none at all.
func TestDiscoveredAddress(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		harness.AnswerSTUN(conn, netip.MustParseAddr("203.0.113.9"))
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	s := harness.Start(t, func(c *server.Config) { c.Discover = "stun:" + conn.LocalAddr().String() })
	if !strings.HasPrefix(s.Media, "203.0.113.9:") {
		t.Errorf("announced is %s", s.Media)
	}
	s.Stop(t)

	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s = harness.Start(t, func(c *server.Config) { c.Discover = "stun:" + silent.LocalAddr().String() })
	if text := s.Logs.String(); !strings.Contains(text, "the public address is not known") ||
		!strings.Contains(text, "--public-ip") {
		t.Errorf("the log says:\n%s", text)
	}
}
