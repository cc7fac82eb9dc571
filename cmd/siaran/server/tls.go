package server

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

	"siaran/internal/certs"
	"siaran/internal/netaddr"
	"siaran/internal/tlsmux"
)

const acmeFolder = "acme" // in the data folder

// TLSConfig holds the settings of HTTPS. Without a certificate or ACME domain the server speaks plain HTTP.
type TLSConfig struct {
	TLSCert  string        `name:"tls-cert" placeholder:"FILE"`
	TLSKey   string        `name:"tls-key" placeholder:"FILE"`
	ACME     []string      `name:"acme" placeholder:"DOMAIN"`
	ACMEMail string        `name:"acme-email" placeholder:"ADDRESS"`
	ACMECA   string        `name:"acme-ca" placeholder:"URL"`
	ACMERoot string        `name:"acme-root" placeholder:"FILE"`
	Redirect string        `name:"redirect" placeholder:"ADDRESS"`
	HSTS     time.Duration `name:"hsts" placeholder:"TIME"`
}

// HTTPS reports whether the server speaks HTTPS.
func (c TLSConfig) HTTPS() bool { return c.TLSCert != "" || c.TLSKey != "" || len(c.ACME) > 0 }

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c TLSConfig) check() error {
	var wrong []error
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	say((c.TLSCert == "") != (c.TLSKey == ""), "--tls-cert and --tls-key: give both")
	say(c.TLSCert != "" && len(c.ACME) > 0, "--tls-cert and --acme: give only one of them")
	for _, d := range c.ACME {
		say(len(d) > 253 || !domainName.MatchString(d) || net.ParseIP(d) != nil,
			"--acme %q: give a domain in lower case such as live.example.org, without * and without a port", d)
	}
	say(len(c.ACME) == 0 && c.ACMEMail+c.ACMECA+c.ACMERoot != "",
		"--acme-email, --acme-ca and --acme-root: they need --acme")
	say(c.ACMEMail != "" && (!strings.Contains(c.ACMEMail, "@") || strings.ContainsAny(c.ACMEMail, " ,;:")),
		"--acme-email %q: give one address such as me@example.org", c.ACMEMail)
	if u, err := url.Parse(c.ACMECA); c.ACMECA != "" {
		say(err != nil || u.Scheme != "https" || u.Host == "",
			"--acme-ca %q: give the https:// address of the authority's directory", c.ACMECA)
	}
	if c.Redirect != "" {
		say(!c.HTTPS(), "--redirect: there is no HTTPS to redirect to: give --tls-cert and --tls-key, or --acme")
		if err := checkAddress(c.Redirect); err != nil {
			say(true, "--redirect %q: %w", c.Redirect, err)
		}
	}
	say(c.HSTS < 0 || c.HSTS > 10*365*24*time.Hour, "--hsts %s: give a time such as 8760h", c.HSTS)
	return errors.Join(wrong...)
}

// certificates provides the certificates of HTTPS and of TURN over TLS.
type certificates interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Run(ctx context.Context) error // renews them
}

// openRedirect opens the port that redirects plain HTTP, if one is configured.
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

// openTLS prepares the certificates. They are renewed while the server serves.
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
				s.logger.Warn("the certificate is not for the host of --base-url: browsers will refuse it", "error", err)
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
		s.logger.Warn("--acme requests no certificate for the host of --base-url: add the host to --acme", "host", host)
	}
	acme, err := certs.OpenACME(cfg)
	if err != nil {
		return fmt.Errorf("--acme: %w", err)
	}
	s.certs = acme
	s.closers = append(s.closers, acme.Close)
	return nil
}

// tlsConfig returns the configuration for all listeners that use the certificates, or nil without certificates.
func (s *server) tlsConfig() *tls.Config {
	if s.certs == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certs.GetCertificate}
}

// httpsPort returns the port of HTTPS and, with a relay, of TURN over TLS. It is 0 without certificates.
func (s *server) httpsPort() int {
	if s.certs == nil {
		return 0
	}
	return s.tcp.Addr().(*net.TCPAddr).Port
}

// frontDoor starts to accept connections.
func (s *server) frontDoor() *tlsmux.Listener {
	return tlsmux.Listen(s.tcp, tlsmux.Config{
		TLS:     s.tlsConfig(),
		TURN:    s.turnOverTLS,
		Other:   []string{certs.ChallengeProtocol},
		Limits:  tlsmux.Limits{Open: s.cfg.connections(), Share: netaddr.Share(s.cfg.SourceShare)},
		Proxies: s.cfg.TrustedProxy,
		Logger:  s.logger,
	})
}

// insideTransport sends every request to this server from inside the process, whatever the host in its URL.
type insideTransport struct{ http.Transport }

func newInsideTransport(door *tlsmux.Listener) *insideTransport {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return door.Dial(ctx) }
	return &insideTransport{http.Transport{DialContext: dial}}
}

// RoundTrip implements [http.RoundTripper].
func (t *insideTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return t.Transport.RoundTrip(r)
}

// scheme returns the URL scheme of the server's own port.
func (s *server) scheme() string {
	if s.certs != nil {
		return "https"
	}
	return "http"
}

// withPort builds a URL. It omits the port if the scheme implies it.
func withPort(scheme, host string, port int) string {
	if scheme == "https" && port == 443 || scheme == "http" && port == 80 {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// ownName returns a name that the certificate covers, or an empty string if none is known.
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

// certificateFact describes the certificate for people.
func (s *server) certificateFact() string {
	switch c := s.certs.(type) {
	case *certs.Files:
		return fmt.Sprintf("certificate %s, valid until %s", s.cfg.TLSCert, c.Until().Format(time.DateOnly))
	case *certs.ACME:
		return "certificate for " + strings.Join(s.cfg.ACME, ", ") +
			", requested and renewed automatically; see the log for its state"
	}
	return ""
}
