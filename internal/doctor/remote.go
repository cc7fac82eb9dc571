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

// ServerConfig names a server, and says what may be done to it.
type ServerConfig struct {
	URL   string // such as https://live.example.org
	Token string // for publishing; empty: nothing is published

	Roots    *x509.CertPool // nil: the system's
	Resolver *net.Resolver  // nil: the system's
}

// ParseURL parses the address of a server.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" ||
		u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not the address of a server: give one like https://live.example.org", text)
	}
	u.Path, u.RawPath = "", ""
	return u, nil
}

// remote checks a server from elsewhere.
type remote struct {
	*findings
	cfg    ServerConfig
	flag   string // that has named the server
	url    *url.URL
	addrs  []netip.Addr // of the host; after checkTCP, those that TCP reaches
	client *http.Client

	ice    []iceServer
	stream string // to watch
	watch  string // token to watch with
	cast   *broadcast
}

// The stages in order. Each needs those before it, as far as Server says.
var (
	webStages   = []string{"tcp", "tls", "http", "clock", "ready", "cors", "ice"}
	mediaStages = []string{"udp", "turn-udp", "turn-tcp", "turn-tls"}
)

// Server checks a running server from this machine, and reports each finding as it comes. It changes nothing there
// unless it has a token: then it publishes a stream for a moment.
func Server(ctx context.Context, cfg ServerConfig, report func(Check)) (*Report, error) {
	u, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := newRemote(u, cfg, report)
	defer o.client.CloseIdleConnections()
	if o.reach(ctx) {
		o.media(ctx)
	}
	return &o.report, nil
}

func newRemote(u *url.URL, cfg ServerConfig, report func(Check)) *remote {
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	o := &remote{findings: newFindings(report), cfg: cfg, flag: "--url", url: u}
	o.client = &http.Client{
		Transport: &http.Transport{
			DialContext:       o.dial,
			TLSClientConfig:   &tls.Config{RootCAs: cfg.Roots},
			ForceAttemptHTTP2: true,
		},
		Timeout:       httpTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return o
}

// reach goes from the name to the API, and reports whether further checks make sense.
func (o *remote) reach(ctx context.Context) bool {
	for i, stage := range []func(context.Context) bool{o.checkDNS, o.checkTCP, o.checkTLS, o.checkHTTP} {
		if stage(ctx) {
			continue
		}
		for _, name := range webStages[i:] {
			if i == 0 || name != webStages[i-1] {
				o.add(skip(name, "not tried, because an earlier stage failed."))
			}
		}
		o.skipMedia("not tried, because the server cannot be reached.")
		return false
	}
	o.checkReady(ctx)
	o.checkCORS(ctx)
	o.checkICE(ctx)
	return true
}

func (o *remote) skipMedia(why string) {
	for _, name := range append(append([]string{"stream"}, mediaStages...), "ice-tcp") {
		o.add(skip(name, "%s", why))
	}
}

func (o *remote) checkDNS(ctx context.Context) bool {
	const name = "dns"
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	host := o.url.Hostname()
	ips, err := lookup(ctx, o.cfg.Resolver, host)
	if err != nil || len(ips) == 0 {
		o.add(fail(name, fmt.Sprintf("%s has no address: %s.", host, plainDNS(err)),
			"Check the spelling, and the domain's A and AAAA records."))
		return false
	}
	o.addrs = ips
	if _, err := netip.ParseAddr(host); err == nil {
		o.add(ok(name, "%s is an address, not a name.", host))
		return true
	}
	o.add(ok(name, "%s resolves to %s.", host, listed(ips)))
	return true
}

func (o *remote) port() string {
	if p := o.url.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[o.url.Scheme]
}

// dial tries the addresses that were found, one after the other.
func (o *remote) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var err error
	for _, ip := range o.addrs {
		var conn net.Conn
		if conn, err = (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network,
			net.JoinHostPort(ip.String(), o.port())); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// checkTCP tries each address, because clients may use any of them.
func (o *remote) checkTCP(ctx context.Context) bool {
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
				conn.Close() // nothing was sent
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
		o.add(fail(name, fmt.Sprintf("TCP port %s of %s cannot be reached: %s.", o.port(), bad[0].ip,
			plainDial(bad[0].err)), remedyOfDial(bad[0].err, "TCP "+o.port())))
		return false
	}
	o.addrs = good
	for _, r := range bad {
		if r.ip.IsLoopback() { // localhost has two addresses, and a server may use only one
			continue
		}
		o.add(warn(name, fmt.Sprintf("TCP port %s of %s cannot be reached: %s. Clients that use this address wait or fail.",
			o.port(), r.ip, plainDial(r.err)), "Open it there too, or remove the address from DNS."))
	}
	if len(bad) == 0 || bad[0].ip.IsLoopback() {
		o.add(ok(name, "TCP port %s is open.", o.port()))
	}
	return true
}

// plainDial says why a connection cannot be opened.
func plainDial(err error) string {
	var ne net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.As(err, &ne) && ne.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no answer: a firewall drops it, or the machine is down"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no route to it"
	case errors.Is(err, syscall.ECONNRESET):
		return "the connection was reset"
	}
	return err.Error()
}

func remedyOfDial(err error, what string) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Check that the server is running and that the port is right."
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "Try from a machine with such addresses (IPv6?), or remove the address from DNS."
	}
	return "Open " + what + " in the firewalls of the server and of its provider."
}

func (o *remote) checkTLS(ctx context.Context) bool {
	const name = "tls"
	if o.url.Scheme == "http" {
		if loopback := o.addrs[0].IsLoopback(); loopback {
			o.add(skip(name, "plain HTTP, on this machine only."))
		} else {
			o.add(warn(name, "plain HTTP: others on the network can read tokens, and browsers do not allow the camera.",
				"Give the server a certificate (--acme DOMAIN, or --tls-cert and --tls-key), or put an HTTPS proxy in front of "+
					"it, and use https://."))
		}
		return true
	}
	conn, err := o.dial(ctx, "tcp", "")
	if err != nil {
		o.add(fail(name, "the connection failed: "+plainDial(err)+".", remedyOfDial(err, "TCP "+o.port())))
		return false
	}
	secure, checks := handshake(ctx, name, conn, o.url.Hostname(), o.cfg.Roots, "h2", "http/1.1")
	o.add(checks...)
	if secure == nil {
		return false
	}
	secure.Close() // nothing was sent
	return true
}

// handshake does TLS over conn and checks the certificate. If clients would refuse it, conn is closed and nil is
// returned.
func handshake(ctx context.Context, name string, conn net.Conn, host string, roots *x509.CertPool,
	protocols ...string) (*tls.Conn, []Check) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	secure := tls.Client(conn, &tls.Config{ServerName: host, NextProtos: protocols,
		InsecureSkipVerify: true}) // judge verifies it
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close() // TLS failed on it
		return nil, []Check{fail(name, fmt.Sprintf("the TLS handshake fails: %s.", plainTLS(err)),
			"Check that the port speaks TLS and that the server has a certificate for "+host+".")}
	}
	checks := certificateCheck{name: name, hosts: []string{host}, roots: roots,
		now: time.Now()}.judge(secure.ConnectionState().PeerCertificates)
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
		return "the answer is not TLS (plain HTTP?)"
	case errors.As(err, &alert):
		return "the server refuses (" + alert.Error() + ")"
	}
	return plainDial(err)
}
