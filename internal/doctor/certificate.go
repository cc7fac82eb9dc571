package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

const nearExpiry = 14 * 24 * time.Hour

// certificateCheck is what a certificate is checked against.
type certificateCheck struct {
	name  string         // of the check
	hosts []string       // that it must be valid for
	roots *x509.CertPool // nil: the system's
	now   time.Time
	file  string // that the chain comes from; empty: from the server
}

// checkFiles reads a pair of PEM files and checks it.
func (c certificateCheck) checkFiles(certificate, key string) []Check {
	c.file = certificate
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err == nil {
		return c.judge(chainOf(pair.Certificate))
	}
	var missing *os.PathError
	switch {
	case errors.As(err, &missing):
		return []Check{fail(c.name, fmt.Sprintf("%s cannot be read: %v.", missing.Path, missing.Err),
			"Correct --tls-cert and --tls-key, and make both files readable for the server's user.")}
	case strings.Contains(err.Error(), "does not match"):
		return []Check{fail(c.name, fmt.Sprintf("the key in %s is not the key of the certificate in %s.", key, certificate),
			"Use the key that the certificate was made for.")}
	}
	return []Check{fail(c.name, fmt.Sprintf("%s and %s are not a certificate and its key: %s.", certificate, key,
		strings.TrimPrefix(err.Error(), "tls: ")),
		"Use PEM files: the certificate with its chain, and its key without a password.")}
}

func chainOf(der [][]byte) []*x509.Certificate {
	var chain []*x509.Certificate
	for _, raw := range der {
		if c, err := x509.ParseCertificate(raw); err == nil {
			chain = append(chain, c)
		}
	}
	return chain
}

// judge reports all that is wrong with a chain, which begins with the leaf, or that it is valid.
func (c certificateCheck) judge(chain []*x509.Certificate) []Check {
	if len(chain) == 0 {
		return []Check{fail(c.name, "there is no certificate.", "Set one with --tls-cert.")}
	}
	leaf := chain[0]
	var list []Check
	if f := c.checkTime(leaf); f.Status != OK {
		list = append(list, f)
	}
	for _, host := range c.hosts {
		if err := leaf.VerifyHostname(host); err != nil {
			list = append(list, fail(c.name, fmt.Sprintf("the certificate is for %s and not for %s.", namesOf(leaf), host),
				"Get one with that name, or use one of its names in the address."))
		}
	}
	if f := c.checkChain(chain); f.Status != OK {
		list = append(list, f)
	}
	if len(list) == 0 {
		list = append(list, ok(c.name, "the certificate for %s is valid until %s.", namesOf(leaf),
			leaf.NotAfter.Format(time.DateOnly)))
	}
	return list
}

func (c certificateCheck) checkTime(leaf *x509.Certificate) Check {
	left := leaf.NotAfter.Sub(c.now)
	switch {
	case c.now.Before(leaf.NotBefore):
		return fail(c.name, fmt.Sprintf("the certificate is not valid before %s.", leaf.NotBefore.Format(time.RFC3339)),
			"Check this machine's clock, or wait.")
	case left <= 0:
		return fail(c.name, fmt.Sprintf("the certificate expired on %s.", leaf.NotAfter.Format(time.DateOnly)),
			"Renew it; the server loads new files without a restart.")
	case left < nearExpiry:
		return warn(c.name, fmt.Sprintf("the certificate expires in %d days, on %s.", int(left.Hours()/24),
			leaf.NotAfter.Format(time.DateOnly)), "Renew it, and find out why it was not renewed automatically.")
	}
	return ok(c.name, "")
}

func (c certificateCheck) checkChain(chain []*x509.Certificate) Check {
	leaf := chain[0]
	between := x509.NewCertPool()
	for _, other := range chain[1:] {
		between.AddCert(other)
	}
	at := c.now // checkTime reports whether it has expired
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: c.roots, Intermediates: between, CurrentTime: at})
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return ok(c.name, "")
	case errors.As(err, &unknown) && selfSigned(leaf):
		return fail(c.name, "the certificate is self-signed: browsers and encoders refuse it.",
			"Get one from a public authority, or let the server get one with --acme.")
	case errors.As(err, &unknown) && len(chain) == 1:
		remedy := "Set --tls-cert to the whole chain (often called fullchain.pem)."
		return fail(c.name, fmt.Sprintf("the chain is incomplete: the certificate of the issuer (%s) is missing, and "+
			"many clients cannot find it by themselves.", leaf.Issuer.CommonName), remedy)
	case errors.As(err, &unknown):
		last := chain[len(chain)-1]
		return fail(c.name, fmt.Sprintf("the certificate's chain ends at %q, which this machine does not trust.",
			last.Issuer.CommonName), "Use a public authority. If it is your own, all clients must know it.")
	}
	return fail(c.name, fmt.Sprintf("the certificate cannot be verified: %s.",
		strings.TrimPrefix(err.Error(), "x509: ")), "Get a new certificate for a server.")
}

func selfSigned(c *x509.Certificate) bool {
	return string(c.RawIssuer) == string(c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate,
		c.Signature) == nil
}

func namesOf(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0 && c.Subject.CommonName != "":
		return fmt.Sprintf("no name (its common name %q does not count)", c.Subject.CommonName)
	case len(names) == 0:
		return "no name"
	case len(names) > 4:
		names = append(names[:4], "more")
	}
	return strings.Join(names, ", ")
}
