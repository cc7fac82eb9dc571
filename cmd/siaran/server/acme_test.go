package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	pebbleca "github.com/letsencrypt/pebble/v2/ca"
	pebbledb "github.com/letsencrypt/pebble/v2/db"
	pebbleva "github.com/letsencrypt/pebble/v2/va"
	pebble "github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/testutil"
)

const liveDomain = "live.siaran.test"

// authority is Pebble, the ACME server that Let's Encrypt tests clients with. It looks under port 443 and 80 of a
// domain at other ports, and believes all names to be on loopback.
type authority struct {
	url  string // of its directory
	root string // PEM file of its HTTPS
	pool *x509.CertPool
	stop func()
}

func startAuthority(t *testing.T, httpsPort, httpPort int) *authority {
	t.Helper()
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "10",
		"PEBBLE_AUTHZREUSE": "0"} {
		t.Setenv(name, value)
	}
	quiet := log.New(io.Discard, "", 0)
	db := pebbledb.NewMemoryStore()
	ca := pebbleca.New(quiet, db, "", "ecdsa", 0, 1, map[string]pebbleca.Profile{"default": {}})
	va := pebbleva.New(quiet, httpPort, httpsPort, true, startNames(t), db)
	front := pebble.New(quiet, db, va, ca, []string{"siaran.test"}, true, false, 0, 0)
	server := httptest.NewTLSServer(front.Handler())
	stop := sync.OnceFunc(func() { server.CloseClientConnections(); server.Close() })
	t.Cleanup(stop)
	a := &authority{stop: stop, url: server.URL + pebble.DirectoryPath, root: filepath.Join(t.TempDir(), "root.pem"),
		pool: x509.NewCertPool()}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(a.root, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if !a.pool.AppendCertsFromPEM(ca.GetRootCert(0).PEM()) {
		t.Fatal("no root")
	}
	return a
}

// startNames answers every question for a name with loopback.
func startNames(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, question := range q.Question {
			if question.Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA,
					Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		_ = w.WriteMsg(m) // who asked may be gone
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		_ = server.Shutdown() // it says that it has not begun, when it has not
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestACME gets a certificate from an authority in either way, uses it, and has it still after a restart, when there
// is no authority any more.
func TestACME(t *testing.T) {
	for _, way := range []string{"TLS-ALPN-01", "HTTP-01"} {
		t.Run(way, func(t *testing.T) {
			ignored := append([]goleak.Option{goleak.IgnoreCurrent()}, acmeGoroutines...)
			t.Cleanup(func() { // after everything below has ended
				http.DefaultClient.CloseIdleConnections()
				if err := testutil.GoroutinesLeft(ignored...); err != nil {
					t.Errorf("goroutines are left: %v", err)
				}
			})
			listen, redirect, dead := testutil.FreeAddress(t), testutil.FreeAddress(t), testutil.FreeAddress(t)
			httpsPort, httpPort := portOf(t, listen), portOf(t, redirect)
			if way == "HTTP-01" {
				httpsPort = portOf(t, dead) // the other way is barred, so it must come to this one
			}
			a := startAuthority(t, httpsPort, httpPort)
			data := t.TempDir()
			settings := func(c *server.Config) {
				c.Listen, c.Data, c.ACME, c.ACMECA, c.ACMERoot, c.ACMEMail = listen, data, []string{liveDomain}, a.url, a.root,
					"me@siaran.test"
				if way == "HTTP-01" {
					c.Redirect = redirect
				}
			}
			s := harness.Start(t, settings)
			if want := "https://" + liveDomain + ":" + strconv.Itoa(portOf(t, listen)); s.URL != want {
				t.Errorf("it calls itself %s, not %s", s.URL, want)
			}
			trust := &tls.Config{RootCAs: a.pool, ServerName: liveDomain}
			serial := ""
			shown := func() bool { // the certificate is, to whoever says no name too: relays are reached by address
				named, err := serialOf(listen, trust)
				if err != nil {
					return false
				}
				nameless, err := serialOf(listen, &tls.Config{InsecureSkipVerify: true})
				serial = named
				return err == nil && nameless == named
			}
			harness.Eventually(t, "there is a certificate", shown)
			first := serial
			transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			res, err := (&http.Client{Transport: transport}).Get("https://" + listen + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
				t.Error(res.Status, res.Proto)
			}
			harness.Eventually(t, "it is told", func() bool {
				return strings.Contains(s.Logs.String(), "a new certificate is in use")
			})
			s.Stop(t)

			a.stop()
			again := harness.Start(t, settings)
			harness.Eventually(t, "the certificate is used again", shown)
			if serial != first {
				t.Error("it is another one")
			}
			again.Stop(t)
		})
	}
}

func serialOf(address string, cfg *tls.Config) (string, error) {
	conn, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// TestACMEInVain says what is missing, and goes on trying.
func TestACMEInVain(t *testing.T) {
	dead := portOf(t, testutil.FreeAddress(t))
	a := startAuthority(t, dead, dead)
	s := harness.Start(t, func(c *server.Config) { c.ACME, c.ACMECA, c.ACMERoot = []string{liveDomain}, a.url, a.root })
	harness.Eventually(t, "it says why", func() bool {
		log := s.Logs.String()
		return strings.Contains(log, "no certificate yet") && strings.Contains(log, liveDomain) &&
			strings.Contains(log, "443")
	})
	s.Stop(t) // fails when it does not end by itself
}
