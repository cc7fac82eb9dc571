package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// TestStrangersForgeNoAddress: only a trusted proxy may name the client's address, and no client may choose the URL
// of a session.
func TestStrangersForgeNoAddress(t *testing.T) {
	for name, test := range map[string]struct {
		trusted []netip.Prefix
		from    string
	}{
		"stranger":       {nil, "127.0.0.1"},
		"another proxy":  {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "127.0.0.1"},
		"proxy":          {[]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, "198.51.100.7"},
		"proxy by range": {[]netip.Prefix{netip.MustParsePrefix("127.1.2.3/8")}, "198.51.100.7"},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, func(c *server.Config) { c.TrustedProxy = test.trusted })
			req, err := http.NewRequestWithContext(t.Context(), "PATCH", s.URL+"/api/streams/cats",
				strings.NewReader(`{"title":"x"}`))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				"Authorization": "Bearer " + s.Admin, "Content-Type": "application/json",
				// What is left of the proxy's own part was written by the client.
				"X-Forwarded-For": "203.0.113.99, 198.51.100.7", "X-Real-Ip": "203.0.113.98", "Forwarded": "for=203.0.113.97",
				"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https",
			} {
				req.Header.Set(name, value)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK || res.Header.Get("Strict-Transport-Security") != "" {
				t.Error(res.Status, res.Header)
			}
			if log := s.Logs.String(); !strings.Contains(log, fmt.Sprintf("from=%s\n", test.from)) ||
				strings.Contains(log, "203.0.113") || strings.Contains(log, "evil.example") {
				t.Error(log)
			}
		})
	}
}
