package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/internal/certs"
	"siaran/cmd/siaran/internal/testca"
	"siaran/cmd/siaran/internal/whep"
	"siaran/web/access"
)

// secure is a server with a certificate for localhost, and clients that believe in it.
type secure struct {
	*testServer
	ca        *testca.CA
	cert, key string // files
	transport *http.Transport
}

func startSecure(t *testing.T, options ...func(*Config)) *secure {
	t.Helper()
	dir := t.TempDir()
	s := &secure{ca: testca.New(t), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	s.renew(t)
	s.testServer = startServer(t, append([]func(*Config){func(c *Config) { c.TLSCert, c.TLSKey = s.cert, s.key }}, options...)...)
	s.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(s.transport.CloseIdleConnections)
	s.client = &http.Client{Transport: s.transport}
	return s
}

func (s *secure) renew(t *testing.T) {
	t.Helper()
	cert, key := s.ca.Issue(t, time.Now().Add(90*24*time.Hour), "localhost", "127.0.0.1")
	for path, text := range map[string][]byte{s.cert: cert, s.key: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serial is that of the certificate in use.
func (s *secure) serial(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", s.host(), &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// host is where the server listens.
func (s *testServer) host() string {
	_, address, _ := strings.Cut(s.URL, "://")
	return strings.Replace(address, "localhost", "127.0.0.1", 1)
}

// TestHTTPS goes live and watches over HTTPS with the demo besides, over both versions of HTTP.
func TestHTTPS(t *testing.T) {
	s := startSecure(t, func(c *Config) { c.Demo = true; c.HSTS = time.Hour })
	if !strings.HasPrefix(s.URL, "https://localhost:") {
		t.Fatal(s.URL)
	}
	res := s.request(t, "GET", s.URL+"/healthz", "", "", "")
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusOK || res.Header.Get("Strict-Transport-Security") != "max-age=3600" {
		t.Errorf("%s %s %v", res.Proto, res.Status, res.Header)
	}
	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 25)
	b.waitSent(3)
	v := s.watch(t, cats)
	v.waitPicture(b.sent() + 25)
	if err := v.checkSteady(); err != nil {
		t.Error(err)
	}
	eventually(t, "the demo is live", func() bool { return s.stream(t, demoStream).Status == "live" })

	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool()}, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	t.Cleanup(old.CloseIdleConnections)
	s.client = &http.Client{Transport: old}
	if res := s.request(t, "GET", s.URL+"/healthz", "", "", ""); res.ProtoMajor != 1 || res.StatusCode != http.StatusOK {
		t.Errorf("%s %s", res.Proto, res.Status)
	}
	if _, err := tls.Dial("tcp", s.host(), &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost", MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if strings.Contains(s.logs.String(), "level=WARN") {
		t.Error("it warns")
	}
}

// TestCertificateIsRenewed while a page listens to what is live: it goes on, and new connections see the new one.
func TestCertificateIsRenewed(t *testing.T) {
	s := startSecure(t)
	events := s.listen(t)
	if line := <-events; line != "event: snapshot" {
		t.Fatal(line)
	}
	first := s.serial(t)
	if err := os.WriteFile(s.key, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.hangUp(t, func() bool { return strings.Contains(s.logs.String(), "the old one stays") })
	if got := s.serial(t); got != first {
		t.Error("the certificate has changed")
	}
	s.renew(t)
	s.hangUp(t, func() bool { return s.serial(t) != first })

	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 25)
	b.waitSent(3)
	for line := range events {
		if line == "event: stream" {
			return
		}
	}
	t.Error("the events have ended")
}

// hangUp sends SIGHUP until something has come of it.
func (s *secure) hangUp(t *testing.T, done func() bool) {
	t.Helper()
	eventually(t, "SIGHUP is heeded", func() bool {
		hangUpSelf(t)
		return done()
	})
}

// listen gives the names of the events of what is live, over HTTP/2.
func (s *secure) listen(t *testing.T) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/api/streams/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.ProtoMajor != 2 {
		t.Error(res.Proto)
	}
	names, done := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(done)
		defer close(names)
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "event:") {
				names <- lines.Text()
			}
		}
	}()
	t.Cleanup(func() { cancel(); res.Body.Close(); <-done })
	return names
}

// TestRedirect sends plain HTTP on, method and all, and writes nothing of it into the log.
func TestRedirect(t *testing.T) {
	var at string
	s := startSecure(t, func(c *Config) { c.Redirect = freePort(t); at = c.Redirect; c.LogLevel = -8 })
	_, port, _ := net.SplitHostPort(s.host())
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, test := range []struct {
		method, host, path string
		status             int
		to                 string
	}{
		{"GET", "live.example.org", "/watch/cats?x=1", 308, "https://live.example.org:" + port + "/watch/cats?x=1"},
		{"POST", "live.example.org:80", "/whip/cats?token=geheim", 308, "https://live.example.org:" + port + "/whip/cats?token=geheim"},
		{"GET", "[2001:db8::1]:80", "/", 308, "https://[2001:db8::1]:" + port + "/"},
		{"GET", "192.0.2.1", "//evil.example/", 308, "https://192.0.2.1:" + port + "//evil.example/"},
		{"PATCH", "live.example.org", "/whip/cats/x", 405, ""}, // W09
		{"DELETE", "live.example.org", "/whip/cats/x", 405, ""},
		{"GET", "a b", "/", 400, ""},
		{"GET", "evil.example/x?", "/", 400, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+at+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		req.Header.Set("Authorization", "Bearer geheim")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != test.status || res.Header.Get("Location") != test.to {
			t.Errorf("%s %s: %d to %q", test.host, test.path, res.StatusCode, res.Header.Get("Location"))
		}
		if refused := test.status >= 400; refused != (res.Header.Get("Content-Type") == "application/problem+json") || (test.status == 405) != (res.Header.Get("Allow") != "") {
			t.Errorf("%s %s: %v", test.method, test.host, res.Header)
		}
	}
	if strings.Contains(s.logs.String(), "geheim") {
		t.Error("a token stands in the log")
	}
}

// TestRedirectToBaseURL goes where the server is known to be.
func TestRedirectToBaseURL(t *testing.T) {
	var at string
	startSecure(t, func(c *Config) {
		c.Redirect, c.BaseURL = freePort(t), "https://live.example.org/tv"
		at = c.Redirect
	})
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Get("http://" + at + "/watch/cats")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if to := res.Header.Get("Location"); to != "https://live.example.org/tv/watch/cats" {
		t.Error(to)
	}
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET x:.evil.example/ HTTP/1.1\r\nHost: live.example.org\r\n\r\n")
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 400") { // the server closes it
		t.Errorf("%q", answer)
	}
}

// freePort is one of loopback that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestSettingsOfTLS: what makes no sense is told with what to do.
func TestSettingsOfTLS(t *testing.T) {
	for _, test := range []struct {
		c    TLSConfig
		says string
	}{
		{TLSConfig{TLSCert: "x"}, "give both"},
		{TLSConfig{TLSKey: "x"}, "give both"},
		{TLSConfig{TLSCert: "x", TLSKey: "x", ACME: []string{"a.example"}}, "give one of them"},
		{TLSConfig{ACME: []string{"*.example.org"}}, "without *"},
		{TLSConfig{ACME: []string{"https://a.example"}}, "give a domain"},
		{TLSConfig{ACME: []string{"192.0.2.1"}}, "give a domain"},
		{TLSConfig{ACME: []string{"a.example:443"}}, "without a port"},
		{TLSConfig{ACMEMail: "me@example.org"}, "need --acme"},
		{TLSConfig{ACME: []string{"a.example"}, ACMEMail: "me"}, "--acme-email"},
		{TLSConfig{ACME: []string{"a.example"}, ACMECA: "http://ca.example"}, "--acme-ca"},
		{TLSConfig{Redirect: ":80"}, "no HTTPS to send to"},
		{TLSConfig{TLSCert: "x", TLSKey: "x", Redirect: "80"}, ":port"},
		{TLSConfig{HSTS: -1}, "--hsts"},
	} {
		if err := test.c.check(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v", test.c, err)
		}
	}
	for _, c := range []TLSConfig{{}, {TLSCert: "x", TLSKey: "y", Redirect: ":80", HSTS: time.Hour}, {ACME: []string{"a.example", "b.c.example"}, ACMEMail: "me@example.org"}} {
		if err := c.check(); err != nil {
			t.Error(err)
		}
	}
	for want, c := range map[string]Config{":8080": {}, ":443": {TLSConfig: TLSConfig{ACME: []string{"a.example"}}}, ":1": {Listen: ":1", TLSConfig: TLSConfig{ACME: []string{"a.example"}}}} {
		got, _ := c.checked() // the rest is empty, which it says
		if got.Listen != want {
			t.Errorf("%s, want %s", got.Listen, want)
		}
	}
}

// TestStrangersForgeNoAddress: only a proxy that is named may say for whom it asks, and nobody decides where a session is.
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
			s := startServer(t, func(c *Config) { c.TrustedProxy = test.trusted })
			req, err := http.NewRequestWithContext(t.Context(), "PATCH", s.URL+"/api/streams/cats", strings.NewReader(`{"title":"x"}`))
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
			if log := s.logs.String(); !strings.Contains(log, fmt.Sprintf("from=%s\n", test.from)) || strings.Contains(log, "203.0.113") || strings.Contains(log, "evil.example") {
				t.Error(log)
			}
		})
	}
}

// tlsDialer makes the connection that a relay's turns: address asks for, believing in the test's authority alone.
type tlsDialer struct{ *tls.Config }

func (d tlsDialer) Dial(network, address string) (net.Conn, error) {
	return tls.Dial(network, address, d.Config)
}

// TestRelayOnThePortOfHTTPS has a viewer who can reach nothing else of the server, while others speak HTTP there.
func TestRelayOnThePortOfHTTPS(t *testing.T) {
	for _, protocols := range [][]string{nil, {"http/1.1"}, {"stun.turn"}} {
		t.Run(fmt.Sprint(protocols), func(t *testing.T) {
			s := startSecure(t)
			servers := over(s.iceServers(t), "turns:")
			_, port, _ := net.SplitHostPort(s.host())
			if len(servers) != 1 || servers[0].URLs[0] != "turns:localhost:"+port+"?transport=tcp" {
				t.Fatalf("%v, want port %s", servers, port)
			}
			b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 25)
			b.waitSent(3)
			v := s.watch(t, cats, throughRelay(servers), func(c *whep.Config) {
				c.Setting = func(e *webrtc.SettingEngine) {
					e.SetICEProxyDialer(tlsDialer{&tls.Config{RootCAs: s.ca.Pool(), NextProtos: protocols}})
				}
			})
			v.waitPicture(b.sent() + 50)
			if err := v.checkSteady(); err != nil {
				t.Error(err)
			}
			if list := s.viewers(t, cats); len(list) != 1 || !strings.Contains(string(list[0]), `"relayed"`) {
				t.Errorf("%s", list)
			}
			first := s.serial(t)
			s.renew(t)
			s.hangUp(t, func() bool { return s.serial(t) != first })
			v.waitPicture(b.sent() + 10) // the old connection goes on
		})
	}
}

// TestCertificateOfAnotherName: browsers would refuse it, so it is told at the start.
func TestCertificateOfAnotherName(t *testing.T) {
	s := startSecure(t, func(c *Config) { c.BaseURL = "https://live.example.org" })
	if log := s.logs.String(); !strings.Contains(log, "not for the host of --base-url") || !strings.Contains(log, "live.example.org") {
		t.Error(log)
	}
}

// TestWarningOfPlainHTTP says which flags end it.
func TestWarningOfPlainHTTP(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Listen = ":0" })
	for _, test := range []struct {
		option func(*server)
		warns  bool
	}{
		{func(*server) {}, true},
		{func(s *server) { s.cfg.BaseURL = "http://live.example.org" }, true},
		{func(s *server) { s.cfg.BaseURL = "https://live.example.org" }, false},
		{func(s *server) { s.certs = &certs.Files{} }, false},
	} {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		other := &server{cfg: s.cfg, tcp: l}
		test.option(other)
		if other.plain() != test.warns {
			t.Errorf("%s: %v", other.cfg.BaseURL, !test.warns)
		}
		l.Close()
	}
	var printed, logged strings.Builder
	f := facts{plain: true}
	f.print(&printed)
	f.log(slog.New(slog.NewTextHandler(&logged, nil)))
	for _, flag := range []string{"--acme", "--tls-cert", "--tls-key", "--listen 127.0.0.1:8080", "--base-url https://", "--trusted-proxy 127.0.0.1/32", "camera"} {
		if !strings.Contains(printed.String(), flag) || !strings.Contains(logged.String(), flag) {
			t.Errorf("nothing of %s in\n%s\n%s", flag, &printed, &logged)
		}
	}
}

// TestRelayBesideAProxy: what answers at the public address of HTTPS then knows nothing of TURN.
func TestRelayBesideAProxy(t *testing.T) {
	s := startSecure(t, func(c *Config) { c.TrustedProxy = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	_, port, _ := net.SplitHostPort(s.host())
	servers := over(s.iceServers(t), "turns:")
	if len(servers) != 1 || strings.Contains(servers[0].URLs[0], ":"+port+"?") {
		t.Errorf("%v, HTTPS is at %s", servers, port)
	}
}
