package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"siaran"
	"siaran/egress"
	"siaran/turn"
	"siaran/web"
)

const (
	turnPort  = "3478"
	turnsPort = "5349"

	sessionLife = 12 * time.Hour // of a session's credentials; the session ends them earlier
	openLife    = time.Hour      // of credentials for no session yet
)

// RelayConfig is the embedded relay, and other ICE servers.
type RelayConfig struct {
	TURN            *string  `name:"turn" placeholder:"ADDRESS" help:"Address of the relay for clients that cannot reach the media port, UDP and TCP (default: port 3478, at the host of --udp); empty for none."`
	TURNS           *string  `name:"turns" placeholder:"ADDRESS" help:"Address of the relay over TLS (default: port 5349 where there is HTTPS, at the host of --udp); empty for none."`
	TURNHost        string   `name:"turn-host" placeholder:"HOST" help:"Name or address under which clients reach the relay (default: --public-ip, else that of --base-url, else what they call this server)."`
	TURNAllocations int      `name:"turn-allocations" default:"10000" help:"Relayed addresses at the same time; a browser takes up to three for each viewer (default ${default})."`
	TURNPerSource   int      `name:"turn-per-source" default:"2000" help:"Relayed addresses, and connections to the relay, of one client address (default ${default})."`
	TURNBitrate     int      `name:"turn-bitrate" default:"20000000" placeholder:"BITS" help:"Bits a second of one relayed client, each way (default ${default})."`
	ICEServer       []string `name:"ice-server" placeholder:"URL" help:"Another STUN or TURN server for clients, such as turn:user:password@turn.example.org:3478?transport=udp; may be repeated."`
	ICESecret       string   `name:"ice-server-secret" placeholder:"SECRET" help:"Secret shared with those TURN servers that are given without a user, for credentials that expire."`
}

// checkRelay fills in what is derived from --udp and from HTTPS. Of c it reads what other areas have.
func (c *Config) checkRelay() error {
	var wrong []error
	host, port, err := net.SplitHostPort(c.UDP)
	if err != nil {
		host, port = "", "" // which is told about already
	}
	standard := func(p string) *string {
		if port == "0" {
			p = "0"
		}
		address := net.JoinHostPort(host, p)
		return &address
	}
	if c.TURN == nil {
		c.TURN = standard(turnPort)
	}
	switch none := ""; {
	case c.TURNS == nil && c.TLSConfig.on() && *c.TURN != "":
		c.TURNS = standard(turnsPort)
	case c.TURNS == nil:
		c.TURNS = &none
	case *c.TURNS != "" && !c.TLSConfig.on():
		wrong = append(wrong, errors.New("--turns: it needs a certificate: give --tls-cert and --tls-key, or --acme"))
	}
	for _, a := range []struct{ flag, addr string }{{"turn", *c.TURN}, {"turns", *c.TURNS}} {
		if a.addr == "" {
			continue
		}
		if err := checkAddress(a.addr); err != nil {
			wrong = append(wrong, fmt.Errorf("--%s %q: %w", a.flag, a.addr, err))
		}
	}
	if name, ok := web.HostOf(c.TURNHost); c.TURNHost != "" && (!ok || !strings.EqualFold(name, c.TURNHost)) {
		wrong = append(wrong, fmt.Errorf("--turn-host %q: give a name or an address, without a port", c.TURNHost))
	}
	for _, n := range []struct {
		flag  string
		value *int
		least int
		usual int
	}{{"turn-allocations", &c.TURNAllocations, 1, 10_000}, {"turn-per-source", &c.TURNPerSource, 1, 2000}, {"turn-bitrate", &c.TURNBitrate, 100_000, 20_000_000}} {
		if *n.value == 0 {
			*n.value = n.usual
		}
		if *n.value < n.least {
			wrong = append(wrong, fmt.Errorf("--%s %d: give %d or more", n.flag, *n.value, n.least))
		}
	}
	for _, text := range c.ICEServer {
		if _, err := parseICEServer(text, c.ICESecret); err != nil {
			wrong = append(wrong, fmt.Errorf("--ice-server: %w", err)) // without the text: a password is in it
		}
	}
	return errors.Join(wrong...)
}

// externalServer is an ICE server of somebody else.
type externalServer struct {
	url            string // as browsers want it (RFC 7064, RFC 7065)
	user, password string
	secret         string // for credentials that expire; empty: user and password stay, or none are needed
}

// parseICEServer reads scheme:[user:password@]host[:port][?transport=...].
func parseICEServer(text, secret string) (externalServer, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	isTURN := scheme == "turn" || scheme == "turns"
	if !ok || !isTURN && scheme != "stun" && scheme != "stuns" {
		return externalServer{}, errors.New("give something like stun:stun.example.org:3478 or turn:user:password@turn.example.org:3478?transport=udp")
	}
	var s externalServer
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		s.user, s.password, ok = strings.Cut(rest[:at], ":")
		rest = rest[at+1:]
		if !ok || s.user == "" || s.password == "" || !isTURN {
			return externalServer{}, errors.New("what stands before @ is user:password of a TURN server")
		}
		if strings.ContainsAny(s.user+s.password, ";,\"<>\\ ") {
			return externalServer{}, errors.New("user and password may not have spaces, quotes, angle brackets, backslashes, commas or semicolons: common clients cannot read them")
		}
	} else if isTURN {
		if s.secret = secret; secret == "" {
			return externalServer{}, errors.New("a TURN server needs user:password@ before its host, or --ice-server-secret")
		}
	}
	u, err := url.Parse("x://" + rest)
	if err != nil || u.Path != "" || u.Fragment != "" || u.RawQuery != "" && (!isTURN || u.RawQuery != "transport=udp" && u.RawQuery != "transport=tcp") {
		return externalServer{}, errors.New("after the scheme comes host or host:port, and for TURN ?transport=udp or ?transport=tcp at the end")
	}
	if _, ok := web.HostOf(u.Host); !ok {
		return externalServer{}, errors.New("the host is not a name or an address")
	}
	s.url = scheme + ":" + rest
	return s, nil
}

// openRelay starts the relay, and lets its clients in to the media.
func (s *server) openRelay(context.Context) (err error) {
	s.relayed.servers, err = s.externalServers()
	if err != nil || *s.cfg.TURN == "" && *s.cfg.TURNS == "" {
		return err
	}
	limits := turn.Limits{
		Allocations: s.cfg.TURNAllocations, PerSource: s.cfg.TURNPerSource,
		Connections: s.cfg.TURNAllocations, ConnectionsPerSource: s.cfg.TURNPerSource, Rate: s.cfg.TURNBitrate / 8,
	}
	s.relay, err = turn.Open(turn.Config{
		UDP: *s.cfg.TURN, TCP: *s.cfg.TURN, TLS: *s.cfg.TURNS, TLSConfig: s.tlsConfig(),
		ListenUDP: func(addr string, handle turn.Handle) (turn.Port, error) { return egress.ListenOther(addr, handle) },
		Media:     s.socket.Addresses, Deliver: s.socket.Receive, Virtual: egress.RelayedNet,
		Secret: func(day int64) []byte { return s.secret.Derive("turn " + strconv.FormatInt(day, 10)) },
		Live:   s.liveCredential,
		Limits: limits, Logger: s.logger,
	})
	if err != nil {
		return fmt.Errorf("--turn and --turns: %w", err)
	}
	s.closers = append(s.closers, s.relay.Close)
	s.socket.Join(s.relay)
	s.turnOverTLS = s.relay.HandleTLS
	return nil
}

// relayed is what is known of the credentials that have been given out.
type relayed struct {
	servers []externalServer

	mu       sync.Mutex
	sessions map[string]siaran.SessionID // by credential, while the session lives
	sweepAt  int                         // entries
}

// Credentials of a session begin so, all others differently.
const sessionCredential = "s"

// newCredential names a credential of a session, or of none. The name tells nothing of the session, whose id is a secret.
func (s *server) newCredential(session siaran.SessionID) string {
	b := make([]byte, 12)
	rand.Read(b)
	name := base64.RawURLEncoding.EncodeToString(b)
	if session == "" {
		return "o" + name
	}
	name = sessionCredential + name
	s.relayed.mu.Lock()
	defer s.relayed.mu.Unlock()
	if s.relayed.sessions == nil {
		s.relayed.sessions = make(map[string]siaran.SessionID)
	}
	if len(s.relayed.sessions) >= s.relayed.sweepAt {
		for name, session := range s.relayed.sessions {
			if !s.sessionLives(session) {
				delete(s.relayed.sessions, name)
			}
		}
		s.relayed.sweepAt = 2*len(s.relayed.sessions) + 1024
	}
	s.relayed.sessions[name] = session
	return name
}

// liveCredential tells whether a credential's session still lives. Those of no session end by themselves.
func (s *server) liveCredential(name string) bool {
	if !strings.HasPrefix(name, sessionCredential) {
		return true
	}
	s.relayed.mu.Lock()
	defer s.relayed.mu.Unlock()
	session, known := s.relayed.sessions[name]
	if known && !s.sessionLives(session) {
		delete(s.relayed.sessions, name)
		return false
	}
	return known
}

func (s *server) sessionLives(id siaran.SessionID) bool {
	if _, err := s.egress.Session(id); err == nil {
		return true
	}
	_, err := s.ingest.Session(id)
	return err == nil
}

// iceServers are what web announces. host is what the client calls this server.
func (s *server) iceServers(session siaran.SessionID, host string) []web.ICEServer {
	var list []web.ICEServer
	if urls := s.relayURLs(host); len(urls) > 0 {
		life := sessionLife
		if session == "" {
			life = openLife
		}
		user, password := s.relay.Credential(s.newCredential(session), life)
		list = append(list, web.ICEServer{URLs: urls, Username: user, Credential: password})
	}
	for _, e := range s.relayed.servers {
		server := web.ICEServer{URLs: []string{e.url}, Username: e.user, Credential: e.password}
		if e.secret != "" {
			server.Username = strconv.FormatInt(time.Now().Add(sessionLife).Unix(), 10) + ":" + s.newCredential("")
			server.Credential = turn.Password([]byte(e.secret), server.Username)
		}
		list = append(list, server)
	}
	return list
}

// relayURLs are the relay's addresses for a client: UDP, TCP, TLS (T16).
func (s *server) relayURLs(host string) []string {
	if s.relay == nil {
		return nil
	}
	var urls []string
	add := func(scheme, host string, port uint16, transport string) {
		if host != "" && port != 0 {
			urls = append(urls, scheme+":"+net.JoinHostPort(host, strconv.Itoa(int(port)))+"?transport="+transport)
		}
	}
	udp, tcp, tls := s.relay.Addresses()
	add("turn", s.relayHost(udp.Addr(), host), udp.Port(), "udp")
	add("turn", s.relayHost(tcp.Addr(), host), tcp.Port(), "tcp")
	name, port := s.certificateHost(host), tls.Port()
	if p := s.sharedPort(); p != 0 {
		port = p // of HTTPS: the one that firewalls let through
	}
	add("turns", name, port, "tcp")
	return urls
}

// relayHost is where clients reach the relay.
func (s *server) relayHost(bound netip.Addr, host string) string {
	if s.cfg.TURNHost != "" {
		return s.cfg.TURNHost
	}
	if len(s.cfg.PublicIP) > 0 {
		best := s.cfg.PublicIP[0]
		ip, err := netip.ParseAddr(host)
		for _, a := range s.cfg.PublicIP {
			if wantsIPv6 := err == nil && ip.Is6(); best.Is4() == wantsIPv6 && a.Is6() == wantsIPv6 {
				best = a
			}
		}
		return best.String()
	}
	if bound.IsValid() && !bound.IsUnspecified() {
		return bound.String()
	}
	if name := s.baseHost(); name != "" {
		return name
	}
	if host == "" || host == "localhost" {
		return "127.0.0.1"
	}
	return host
}

// certificateHost is a name that the certificate has, as far as that is known.
func (s *server) certificateHost(host string) string {
	switch {
	case s.cfg.TURNHost != "":
		return s.cfg.TURNHost
	case len(s.cfg.ACME) > 0:
		for _, domain := range s.cfg.ACME {
			if domain == host {
				return host
			}
		}
		return s.cfg.ACME[0]
	}
	if name := s.baseHost(); name != "" {
		return name
	}
	return host
}

func (s *server) baseHost() string {
	u, err := url.Parse(s.cfg.BaseURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// sharedPort is where clients reach HTTPS that is spoken by this process, and so TURN over TLS too; 0: nowhere, as
// when a proxy answers there, which understands HTTP alone.
func (s *server) sharedPort() uint16 {
	if len(s.cfg.TrustedProxy) > 0 {
		return 0
	}
	port := uint16(s.httpsPort())
	if u, err := url.Parse(s.cfg.BaseURL); port != 0 && err == nil && u.Scheme == "https" {
		port = 443
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
			port = uint16(n)
		}
	}
	return port
}

// relayFact says where TURN is spoken.
func (s *server) relayFact() string {
	if s.relay == nil {
		return "none: clients without UDP to the media port cannot watch"
	}
	var parts []string
	udp, tcp, tls := s.relay.Addresses()
	if udp.IsValid() {
		parts = append(parts, "UDP "+udp.String(), "TCP "+tcp.String())
	}
	if tls.IsValid() {
		parts = append(parts, "TLS "+tls.String())
	}
	if port := s.httpsPort(); port != 0 {
		parts = append(parts, fmt.Sprintf("TLS on the port of HTTPS (%d)", port))
	} else {
		parts = append(parts, "no TLS, which needs a certificate (--acme or --tls-cert)")
	}
	return strings.Join(parts, ", ")
}

func (s *server) externalServers() ([]externalServer, error) {
	var list []externalServer
	for _, text := range s.cfg.ICEServer {
		e, err := parseICEServer(text, s.cfg.ICESecret)
		if err != nil {
			return nil, fmt.Errorf("--ice-server: %w", err)
		}
		list = append(list, e)
	}
	return list, nil
}
