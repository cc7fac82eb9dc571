package harness

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/internal/testca"
)

func hangUpSelf(t *testing.T) {
	t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// SecureServer is a server with a certificate for localhost, and clients that believe in it.
type SecureServer struct {
	*Server
	CA        *testca.CA
	Cert, Key string // files
	transport *http.Transport
}

func StartSecure(t *testing.T, options ...func(*server.Config)) *SecureServer {
	t.Helper()
	dir := t.TempDir()
	s := &SecureServer{CA: testca.New(t), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	s.RenewCertificate(t)
	s.Server = Start(t, append([]func(*server.Config){func(c *server.Config) { c.TLSCert, c.TLSKey = s.Cert, s.Key }},
		options...)...)
	s.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CA.Pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(s.transport.CloseIdleConnections)
	s.Client = &http.Client{Transport: s.transport}
	return s
}

func (s *SecureServer) RenewCertificate(t *testing.T) {
	t.Helper()
	cert, key := s.CA.Issue(t, time.Now().Add(90*24*time.Hour), "localhost", "127.0.0.1")
	for path, text := range map[string][]byte{s.Cert: cert, s.Key: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// CertificateSerial is that of the certificate in use.
func (s *SecureServer) CertificateSerial(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Address(), &tls.Config{RootCAs: s.CA.Pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// Reload sends SIGHUP until something has come of it.
func (s *SecureServer) Reload(t *testing.T, done func() bool) {
	t.Helper()
	Eventually(t, "SIGHUP is heeded", func() bool {
		hangUpSelf(t)
		return done()
	})
}

// Events gives the names of the events of what is live, over HTTP/2.
func (s *SecureServer) Events(t *testing.T) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/api/streams/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client.Do(req)
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
