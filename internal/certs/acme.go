package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// ChallengeProtocol is the ALPN of handshakes by which an authority sees that a name is ours (RFC 8737). The
// connection carries nothing else.
const ChallengeProtocol = "acme-tls/1"

// ACMEConfig says which certificates to get, and where.
type ACMEConfig struct {
	Domains []string
	Folder  string // keeps certificates, keys and the account
	Email   string // for the authority's letters; may be empty
	CA      string // URL of its directory; empty: Let's Encrypt
	Root    string // PEM file with the root that the authority's own HTTPS is judged by; empty: the system's

	Host     string // address that the ports below are bound to; empty: all
	TLSPort  int    // where our HTTPS answers handshakes with ChallengeProtocol
	HTTPPort int    // where HTTPHandler answers; 0: nowhere

	Logger *slog.Logger
}

// ACME gets certificates and renews them.
type ACME struct {
	cfg    ACMEConfig
	log    *slog.Logger
	magic  *certmagic.Config
	cache  *certmagic.Cache
	issuer *certmagic.ACMEIssuer
}

// OpenACME prepares everything; nobody is asked before Run. Close it, whether it has run or not.
func OpenACME(cfg ACMEConfig) (*ACME, error) {
	roots, err := readRoots(cfg.Root)
	if err != nil {
		return nil, err
	}
	a := &ACME{cfg: cfg, log: cfg.Logger}
	logger := zapTo(cfg.Logger)
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil },
		Logger:           logger,
	})
	a.magic = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: cfg.Folder},
		Logger:  logger,
		OnEvent: a.onEvent,
		// Relays are often reached by address, and then no name is sent.
		DefaultServerName:  cfg.Domains[0],
		FallbackServerName: cfg.Domains[0],
	})
	a.issuer = certmagic.NewACMEIssuer(a.magic, certmagic.ACMEIssuer{
		CA: cfg.CA, Email: cfg.Email, Agreed: true, TrustedRoots: roots,
		ListenHost: cfg.Host, AltTLSALPNPort: cfg.TLSPort, AltHTTPPort: cfg.HTTPPort, DisableHTTPChallenge: cfg.HTTPPort == 0,
		Logger: logger,
	})
	a.magic.Issuers = []certmagic.Issuer{a.issuer}
	return a, nil
}

func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: there is no certificate in it", path)
	}
	return pool, nil
}

// GetCertificate is for [tls.Config].
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.magic.GetCertificate(hello)
}

// HTTPHandler answers what an authority asks over plain HTTP (RFC 8555 section 8.3); the rest goes to next.
func (a *ACME) HTTPHandler(next http.Handler) http.Handler {
	return a.issuer.HTTPChallengeHandler(next)
}

// Run gets what is missing, trying again and again, and renews what runs out, until ctx ends. Both ports must answer
// meanwhile.
func (a *ACME) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	for _, domain := range a.cfg.Domains {
		asking.Go(func() {
			if err := a.manage(ctx, domain); err != nil && ctx.Err() == nil {
				a.log.Error("gave up on a certificate for the domain: check its DNS records and that ports 443 or 80 lead here, "+
					"then restart the server", "domain", domain, "error", err)
			}
		})
	}
	asking.Wait()
	<-ctx.Done()
	return nil
}

// manage has a certificate for the domain in use when it returns without an error. From then on certmagic renews it.
func (a *ACME) manage(ctx context.Context, domain string) error {
	cert, err := a.magic.CacheManagedCertificate(ctx, domain)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.log.Info("asking for a certificate", "domain", domain, "authority", a.issuer.CA)
		err = a.magic.ObtainCertAsync(ctx, domain) // tries until ctx ends, for 30 days at most
	case err == nil && cert.NeedsRenewal(a.magic): // it ran out while the server was down
		err = a.magic.RenewCertAsync(ctx, domain, false)
	default:
		return err
	}
	if err != nil {
		return err
	}
	_, err = a.magic.CacheManagedCertificate(ctx, domain)
	return err
}

// Close ends what renews. Run must have returned.
func (a *ACME) Close() error {
	a.cache.Stop()
	return nil
}

// onEvent tells the operator what became of it.
func (a *ACME) onEvent(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		a.log.Info("a new certificate is in use", "domain", data["identifier"])
	case "cert_failed":
		err, _ := data["error"].(error)
		if errors.Is(err, context.Canceled) { // the server ends
			return nil
		}
		a.log.Warn("no certificate yet: the authority must reach this server under the domain, "+
			"at port 443 or (with --redirect) 80; it is tried again",
			"domain", data["identifier"], "error", reason(err))
	}
	return nil
}

// reason is the authority's own words, where there are any.
func reason(err error) string {
	var problem acme.Problem
	switch {
	case err == nil:
		return ""
	case errors.As(err, &problem) && problem.Detail != "":
		return problem.Detail
	}
	return err.Error()
}
