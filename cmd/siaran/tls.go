package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"siaran/cmd/siaran/internal/certs"
	"siaran/cmd/siaran/internal/front"
)

const acmeFolder = "acme" // in the data folder

// TLSConfig is how the server speaks HTTPS by itself. Without any of it, it speaks plain HTTP.
type TLSConfig struct {
	TLSCert  string        `name:"tls-cert" placeholder:"FILE" help:"Certificate with its chain, PEM. With it the server speaks HTTPS; a file that is replaced is used at once."`
	TLSKey   string        `name:"tls-key" placeholder:"FILE" help:"Key of the certificate, PEM."`
	ACME     []string      `name:"acme" placeholder:"DOMAIN" help:"Speak HTTPS and get the certificate for this domain by itself, from Let's Encrypt; may be repeated. Using it you agree to the terms of the authority."`
	ACMEMail string        `name:"acme-email" placeholder:"ADDRESS" help:"Where the authority may write to."`
	ACMECA   string        `name:"acme-ca" placeholder:"URL" help:"Directory of another authority (default: that of Let's Encrypt)."`
	ACMERoot string        `name:"acme-root" placeholder:"FILE" help:"Root certificate of that authority's own HTTPS, PEM, when it is a private one."`
	Redirect string        `name:"redirect" placeholder:"ADDRESS" help:"Address, such as :80, where plain HTTP is sent on to HTTPS."`
	HSTS     time.Duration `name:"hsts" placeholder:"TIME" help:"Tell browsers to use nothing but HTTPS for this host for so long, such as 8760h (default: not)."`
}

// on tells whether the server speaks HTTPS.
func (c TLSConfig) on() bool { return c.TLSCert != "" || c.TLSKey != "" || len(c.ACME) > 0 }

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c TLSConfig) check() error {
	var wrong []error
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	say((c.TLSCert == "") != (c.TLSKey == ""), "--tls-cert and --tls-key: give both")
	say(c.TLSCert != "" && len(c.ACME) > 0, "--tls-cert and --acme: give one of them")
	for _, d := range c.ACME {
		say(len(d) > 253 || !domainName.MatchString(d) || net.ParseIP(d) != nil, "--acme %q: give a domain in small letters such as live.example.org, without * and without a port", d)
	}
	say(len(c.ACME) == 0 && c.ACMEMail+c.ACMECA+c.ACMERoot != "", "--acme-email, --acme-ca and --acme-root: they need --acme")
	say(c.ACMEMail != "" && (!strings.Contains(c.ACMEMail, "@") || strings.ContainsAny(c.ACMEMail, " ,;:")), "--acme-email %q: give one address such as me@example.org", c.ACMEMail)
	if u, err := url.Parse(c.ACMECA); c.ACMECA != "" {
		say(err != nil || u.Scheme != "https" || u.Host == "", "--acme-ca %q: give the https:// address of the authority's directory", c.ACMECA)
	}
	if c.Redirect != "" {
		say(!c.on(), "--redirect: there is no HTTPS to send to; give --tls-cert and --tls-key, or --acme")
		if err := checkAddress(c.Redirect); err != nil {
			say(true, "--redirect %q: %w", c.Redirect, err)
		}
	}
	say(c.HSTS < 0 || c.HSTS > 10*365*24*time.Hour, "--hsts %s: give a time such as 8760h", c.HSTS)
	return errors.Join(wrong...)
}

// certificates are those of HTTPS and of TURN over TLS.
type certificates interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Run(ctx context.Context) error // renews them
}

// openRedirect opens the port of plain HTTP, if there is to be one.
func (s *server) openRedirect(ctx context.Context) (err error) {
	if s.cfg.Redirect == "" {
		return nil
	}
	var lc net.ListenConfig
	if s.redirect, err = lc.Listen(ctx, "tcp", s.cfg.Redirect); err != nil {
		return explainListen("redirect", s.cfg.Redirect, err)
	}
	s.closers = append(s.closers, closeListener(s.redirect))
	return nil
}

// openTLS has the certificates ready; they are looked after while the server serves.
func (s *server) openTLS(context.Context) error {
	switch {
	case s.cfg.TLSCert != "":
		files, err := certs.OpenFiles(s.cfg.TLSCert, s.cfg.TLSKey, s.logger)
		if err != nil {
			return fmt.Errorf("--tls-cert: %w", err)
		}
		s.certs = files
		if host := s.baseHost(); host != "" {
			if err := files.Covers(host); err != nil {
				s.logger.Warn("the certificate is not for the host of --base-url: browsers will refuse it", "err", err)
			}
		}
		return nil
	case len(s.cfg.ACME) == 0:
		return nil
	}
	bound := s.tcp.Addr().(*net.TCPAddr)
	cfg := certs.ACMEConfig{
		Domains: s.cfg.ACME, Email: s.cfg.ACMEMail, CA: s.cfg.ACMECA, Root: s.cfg.ACMERoot,
		Folder: filepath.Join(s.cfg.Data, acmeFolder), TLSPort: bound.Port, Logger: s.logger,
	}
	if !bound.IP.IsUnspecified() {
		cfg.Host = bound.IP.String()
	}
	if s.redirect != nil {
		cfg.HTTPPort = s.redirect.Addr().(*net.TCPAddr).Port
	}
	if host := s.baseHost(); host != "" && !slices.Contains(s.cfg.ACME, host) {
		s.logger.Warn("--acme gets no certificate for the host of --base-url: name it there too", "host", host)
	}
	acme, err := certs.OpenACME(cfg)
	if err != nil {
		return fmt.Errorf("--acme: %w", err)
	}
	s.certs = acme
	s.closers = append(s.closers, acme.Close)
	return nil
}

// tlsConfig is for servers that use the same certificates; nil when there are none.
func (s *server) tlsConfig() *tls.Config {
	if s.certs == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certs.GetCertificate}
}

// httpsPort is where HTTPS and, with a relay, TURN over TLS are spoken; 0 when they are not.
func (s *server) httpsPort() int {
	if s.certs == nil {
		return 0
	}
	return s.tcp.Addr().(*net.TCPAddr).Port
}

// frontDoor begins to take connections in.
func (s *server) frontDoor() *front.Listener {
	return front.Listen(s.tcp, front.Config{
		TLS: s.tlsConfig(), TURN: s.turnOverTLS, Other: []string{certs.ChallengeProtocol}, Logger: s.logger,
		Limits: front.Limits{Open: 4*s.cfg.MaxViewers + 1024},
	})
}

// insideTransport sends every request, wherever it is meant to go, through the door from inside.
type insideTransport struct{ http.Transport }

func newInsideTransport(door *front.Listener) *insideTransport {
	return &insideTransport{http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return door.Dial(ctx) }}}
}

// RoundTrip is http.RoundTripper's.
func (t *insideTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return t.Transport.RoundTrip(r)
}

// scheme is how the server's own port is spoken to.
func (s *server) scheme() string {
	if s.certs != nil {
		return "https"
	}
	return "http"
}

// withPort leaves out the port that the scheme implies.
func withPort(scheme, host string, port int) string {
	if scheme == "https" && port == 443 || scheme == "http" && port == 80 {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// ownName is a name that the certificate is good for, empty when none is known.
func (s *server) ownName() string {
	if len(s.cfg.ACME) > 0 {
		return s.cfg.ACME[0]
	}
	if files, ok := s.certs.(*certs.Files); ok {
		return files.Name()
	}
	return ""
}

func closeListener(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) { // serving has closed it
			return err
		}
		return nil
	}
}

// certificateFact says in a few words where the certificate comes from.
func (s *server) certificateFact() string {
	switch c := s.certs.(type) {
	case *certs.Files:
		return fmt.Sprintf("certificate %s, until %s", s.cfg.TLSCert, c.Until().Format(time.DateOnly))
	case *certs.ACME:
		return "certificate for " + strings.Join(s.cfg.ACME, ", ") + ", got and renewed by itself: what becomes of it is in the log"
	}
	return ""
}
