package server_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestHTTPS goes live and watches over HTTPS with the demo besides, over both versions of HTTP.
func TestHTTPS(t *testing.T) {
	s := harness.StartSecure(t, func(c *server.Config) { c.Demo = true; c.HSTS = time.Hour })
	if !strings.HasPrefix(s.URL, "https://localhost:") {
		t.Fatal(s.URL)
	}
	res := s.Request(t, "GET", s.URL+"/healthz", "", "", "")
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusOK ||
		res.Header.Get("Strict-Transport-Security") != "max-age=3600" {
		t.Errorf("%s %s %v", res.Proto, res.Status, res.Header)
	}
	b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	b.WaitSent(3)
	v := s.Watch(t, harness.Cats)
	v.WaitFrame(b.Sent() + 25)
	if err := v.CheckContinuous(); err != nil {
		t.Error(err)
	}
	harness.Eventually(t, "the demo is live", func() bool { return s.Stream(t, server.DemoStream).Status == "live" })

	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CA.Pool()},
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	t.Cleanup(old.CloseIdleConnections)
	s.Client = &http.Client{Transport: old}
	if res := s.Request(t, "GET", s.URL+"/healthz", "", "", ""); res.ProtoMajor != 1 || res.StatusCode != http.StatusOK {
		t.Errorf("%s %s", res.Proto, res.Status)
	}
	if _, err := tls.Dial("tcp", s.Address(), &tls.Config{RootCAs: s.CA.Pool(), ServerName: "localhost",
		MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if strings.Contains(s.Logs.String(), "level=WARN") {
		t.Error("it warns")
	}
}

// TestCertificateIsRenewed while a page listens to what is live: it goes on, and new connections see the new one.
func TestCertificateIsRenewed(t *testing.T) {
	s := harness.StartSecure(t)
	events := s.Events(t)
	if line := <-events; line != "event: snapshot" {
		t.Fatal(line)
	}
	first := s.CertificateSerial(t)
	if err := os.WriteFile(s.Key, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Reload(t, func() bool { return strings.Contains(s.Logs.String(), "the old one stays") })
	if got := s.CertificateSerial(t); got != first {
		t.Error("the certificate has changed")
	}
	s.RenewCertificate(t)
	s.Reload(t, func() bool { return s.CertificateSerial(t) != first })

	b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	b.WaitSent(3)
	for line := range events {
		if line == "event: stream" {
			return
		}
	}
	t.Error("the events have ended")
}

// TestCertificateOfAnotherName: browsers would refuse it, so it is told at the start.
func TestCertificateOfAnotherName(t *testing.T) {
	s := harness.StartSecure(t, func(c *server.Config) { c.BaseURL = "https://live.example.org" })
	log := s.Logs.String()
	if !strings.Contains(log, "not for the host of --base-url") || !strings.Contains(log, "live.example.org") {
		t.Error(log)
	}
}
