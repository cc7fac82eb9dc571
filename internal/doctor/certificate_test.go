package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"siaran/internal/testca"
)

func TestCertificateFiles(t *testing.T) {
	ca, dir := testca.New(t), t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	day := 24 * time.Hour
	pair := func(until time.Duration, names ...string) (string, string) {
		cert, key := ca.Issue(t, time.Now().Add(until), names...)
		return write("cert.pem", cert), write("key.pem", key)
	}
	check := certificateCheck{name: "certificate", hosts: []string{"live.example.org"}, roots: ca.Pool(), now: time.Now()}

	cert, key := pair(90*day, "live.example.org")
	one(t, check.checkFiles(cert, key), OK, "live.example.org", "valid until")
	strange := check
	strange.roots = x509.NewCertPool()
	one(t, strange.checkFiles(cert, key), Fail, "chain is incomplete", "fullchain")
	cert, key = pair(90*day, "*.example.org")
	one(t, check.checkFiles(cert, key), OK, "*.example.org")
	cert, key = pair(90*day, "other.example.org", "192.0.2.1")
	one(t, check.checkFiles(cert, key), Fail, "for other.example.org, 192.0.2.1 and not for live.example.org")
	cert, key = pair(5*day+time.Hour, "live.example.org")
	one(t, check.checkFiles(cert, key), Warn, "expires in 5 days")
	cert, key = pair(-time.Hour, "live.example.org")
	one(t, check.checkFiles(cert, key), Fail, "expired on")
	early := check
	early.now = time.Now().Add(-48 * time.Hour)
	cert, key = pair(90*day, "live.example.org")
	one(t, early.checkFiles(cert, key), Fail, "not valid before", "clock")

	_, other := ca.Issue(t, time.Now().Add(day), "live.example.org")
	one(t, check.checkFiles(cert, write("other.pem", other)), Fail, "is not the key of the certificate")
	one(t, check.checkFiles(filepath.Join(dir, "none.pem"), key), Fail, "none.pem", "cannot be read")
	one(t, check.checkFiles(write("junk.pem", []byte("junk")), key), Fail, "not a certificate and its key")
	if list := check.judge(nil); len(list) != 1 || list[0].Status != Fail {
		t.Errorf("no certificate at all: %v", list)
	}
}

func TestSelfSignedCertificate(t *testing.T) {
	s := fakeServer(t, true, nil)
	check := certificateCheck{name: "tls", hosts: []string{"example.com"}, roots: x509.NewCertPool(), now: time.Now()}
	one(t, check.judge([]*x509.Certificate{s.Certificate()}), Fail, "self-signed", "--acme")
}

// TestCertificateOfAServer goes the way of the command to a server whose certificate is bad.
func TestCertificateOfAServer(t *testing.T) {
	ca := testca.New(t)
	for name, c := range map[string]struct {
		until  time.Duration
		host   string
		status Status
		says   string
	}{
		"good":    {90 * 24 * time.Hour, "127.0.0.1", OK, "valid until"},
		"near":    {3 * 24 * time.Hour, "127.0.0.1", Warn, "expires in"},
		"expired": {-time.Hour, "127.0.0.1", Fail, "expired on"},
		"name":    {90 * 24 * time.Hour, "live.example.org", Fail, "not for 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, key := ca.Issue(t, time.Now().Add(c.until), c.host)
			pair, err := tls.X509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			s := fakeServer(t, true, nil)
			s.TLS.Certificates = []tls.Certificate{pair}
			r, err := Server(t.Context(), ServerConfig{URL: s.URL, Roots: ca.Pool()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			one(t, named(r, "tls"), c.status, c.says)
			if reached := named(r, "http")[0].Status == OK; reached != (c.status != Fail) {
				t.Errorf("%v", r.Checks)
			}
		})
	}
	plain := fakeServer(t, false, nil)
	r, err := Server(t.Context(), ServerConfig{URL: "https://" + plain.Listener.Addr().String()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	one(t, named(r, "tls"), Fail, "not TLS")
}
