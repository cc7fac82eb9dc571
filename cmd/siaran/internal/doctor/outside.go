package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	dialTime = 4 * time.Second
	httpTime = 5 * time.Second // for one exchange
)

// ServerConfig names a server and what may be done to it.
type ServerConfig struct {
	URL   string // such as https://live.example.org
	Token string // allows to publish; empty: nothing is published

	Roots    *x509.CertPool // nil for the system's
	Resolver *net.Resolver  // nil for the system's
}

// ParseURL reads the address of a server.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%q is no address of a server: give something like https://live.example.org", text)
	}
	u.Path, u.RawPath = "", ""
	return u, nil
}

// outside is a look at a server from elsewhere.
type outside struct {
	*findings
	cfg    ServerConfig
	url    *url.URL
	addrs  []netip.Addr // of the host, those that TCP reaches first
	client *http.Client

	ice    []iceServer
	stream string // to watch
	watch  string // token to watch with
	cast   *broadcast
}

// stages is what is looked at, in order; each rests on those before it as far as Server says.
var (
	webStages   = []string{"tcp", "tls", "http", "clock", "ready", "cors", "ice"}
	mediaStages = []string{"udp", "turn-udp", "turn-tcp", "turn-tls"}
)

// Server checks a running server from here, and tells each finding as it comes. Only with a token is anything
// changed there: a stream is published for a moment.
func Server(ctx context.Context, cfg ServerConfig, tell func(Check)) (*Report, error) {
	u, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := &outside{findings: newFindings(tell), cfg: cfg, url: u}
	o.client = &http.Client{
		Transport: &http.Transport{
			DialContext:       o.dial,
			TLSClientConfig:   &tls.Config{RootCAs: cfg.Roots},
			ForceAttemptHTTP2: true,
		},
		Timeout:       httpTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer o.client.CloseIdleConnections()
	if o.reach(ctx) {
		o.media(ctx)
	}
	return &o.report, nil
}

// reach goes from the name to the API, and tells whether there is any use in going on.
func (o *outside) reach(ctx context.Context) bool {
	for i, stage := range []func(context.Context) bool{o.checkDNS, o.checkTCP, o.checkTLS, o.checkHTTP} {
		if stage(ctx) {
			continue
		}
		for _, name := range webStages[i:] {
			if i == 0 || name != webStages[i-1] {
				o.add(skip(name, "not tried, as the stage before has failed."))
			}
		}
		o.skipMedia("not tried, as the server cannot be reached.")
		return false
	}
	o.checkReady(ctx)
	o.checkCORS(ctx)
	o.checkICE(ctx)
	return true
}

func (o *outside) skipMedia(why string) {
	for _, name := range append(append([]string{"stream"}, mediaStages...), "ice-tcp") {
		o.add(skip(name, "%s", why))
	}
}

func (o *outside) checkDNS(ctx context.Context) bool {
	const name = "dns"
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	host := o.url.Hostname()
	ips, err := lookup(ctx, o.cfg.Resolver, host)
	if err != nil || len(ips) == 0 {
		o.add(fail(name, fmt.Sprintf("%s has no address: %s.", host, plainDNS(err)), "Check the spelling, and the domain's A and AAAA records."))
		return false
	}
	o.addrs = ips
	if _, err := netip.ParseAddr(host); err == nil {
		o.add(ok(name, "%s is an address, no name.", host))
		return true
	}
	o.add(ok(name, "%s is %s.", host, listed(ips)))
	return true
}

func (o *outside) port() string {
	if p := o.url.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[o.url.Scheme]
}

// dial goes to the addresses that were found, one after the other.
func (o *outside) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var err error
	for _, ip := range o.addrs {
		var conn net.Conn
		if conn, err = (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, net.JoinHostPort(ip.String(), o.port())); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// checkTCP tries each address: clients may take any.
func (o *outside) checkTCP(ctx context.Context) bool {
	const name = "tcp"
	type result struct {
		ip  netip.Addr
		err error
	}
	results := make(chan result, len(o.addrs))
	for _, ip := range o.addrs {
		go func() {
			conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "tcp", net.JoinHostPort(ip.String(), o.port()))
			if err == nil {
				conn.Close() // nothing was said
			}
			results <- result{ip, err}
		}()
	}
	var good []netip.Addr
	var bad []result
	for range o.addrs {
		if r := <-results; r.err == nil {
			good = append(good, r.ip)
		} else {
			bad = append(bad, r)
		}
	}
	if len(good) == 0 {
		o.add(fail(name, fmt.Sprintf("TCP %s of %s does not open: %s.", o.port(), bad[0].ip, plainDial(bad[0].err)), remedyOfDial(bad[0].err, "TCP "+o.port())))
		return false
	}
	o.addrs = good
	for _, r := range bad {
		if r.ip.IsLoopback() { // localhost has two, of which a server may use one
			continue
		}
		o.add(warn(name, fmt.Sprintf("TCP %s of %s does not open: %s; clients that take this address wait or fail.", o.port(), r.ip, plainDial(r.err)), "Open it there too, or take the address out of DNS."))
	}
	if len(bad) == 0 || bad[0].ip.IsLoopback() {
		o.add(ok(name, "TCP %s is open.", o.port()))
	}
	return true
}

// plainDial says why a connection does not open.
func plainDial(err error) string {
	var ne net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there"
	case errors.As(err, &ne) && ne.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no answer, so a firewall drops it or the machine is down"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no route there"
	case errors.Is(err, syscall.ECONNRESET):
		return "the connection is reset"
	}
	return err.Error()
}

func remedyOfDial(err error, what string) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "See that the server runs and that the port is right."
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "Try from a machine that has such addresses (IPv6?), or take the address out of DNS."
	}
	return "Open " + what + " in the firewall of the server and of its provider."
}

func (o *outside) checkTLS(ctx context.Context) bool {
	const name = "tls"
	if o.url.Scheme == "http" {
		if loopback := o.addrs[0].IsLoopback(); loopback {
			o.add(skip(name, "plain HTTP, on this machine alone."))
		} else {
			o.add(warn(name, "plain HTTP: tokens can be read on the way, and browsers give no camera.", "Give the server a certificate (--acme DOMAIN, or --tls-cert and --tls-key), or put a proxy with HTTPS before it, and use https://."))
		}
		return true
	}
	conn, err := o.dial(ctx, "tcp", "")
	if err != nil {
		o.add(fail(name, "the connection is gone: "+plainDial(err)+".", remedyOfDial(err, "TCP "+o.port())))
		return false
	}
	secure, checks := handshake(ctx, name, conn, o.url.Hostname(), o.cfg.Roots, "h2", "http/1.1")
	o.add(checks...)
	if secure == nil {
		return false
	}
	secure.Close() // nothing was said
	return true
}

// handshake does TLS over conn and judges the certificate. The connection is nil, and conn closed, when clients would not go on.
func handshake(ctx context.Context, name string, conn net.Conn, host string, roots *x509.CertPool, protocols ...string) (*tls.Conn, []Check) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	secure := tls.Client(conn, &tls.Config{ServerName: host, NextProtos: protocols, InsecureSkipVerify: true}) // judge verifies, in plain words
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close() // TLS has failed on it
		return nil, []Check{fail(name, fmt.Sprintf("TLS does not begin: %s.", plainTLS(err)), "See that the port speaks TLS and that the server has a certificate for "+host+".")}
	}
	checks := certificateCheck{name: name, hosts: []string{host}, roots: roots, now: time.Now()}.judge(secure.ConnectionState().PeerCertificates)
	for _, c := range checks {
		if c.Status == Fail {
			secure.Close() // it is not trusted
			return nil, checks
		}
	}
	return secure, checks
}

func plainTLS(err error) string {
	var header tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &header):
		return "what answers is no TLS (plain HTTP?)"
	case errors.As(err, &alert):
		return "the server refuses (" + alert.Error() + ")"
	}
	return plainDial(err)
}
