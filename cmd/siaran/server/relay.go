package server

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
	"syscall"
	"time"

	"siaran"
	"siaran/mediaport"
	"siaran/turn"
	"siaran/web"
)

const (
	sessionLife = 12 * time.Hour   // of a session's credentials; they end earlier with the session
	openLife    = 10 * time.Minute // of credentials without a session yet: clients request them when they need them
)

// openRelay starts the relay and connects it to the media port.
func (s *server) openRelay(context.Context) (err error) {
	s.relayed.servers, err = s.externalServers()
	if err != nil || *s.cfg.TURN == "" && *s.cfg.TURNS == "" {
		return err
	}
	limits := turn.Limits{
		Allocations: s.cfg.TURNAllocations, PerSource: s.cfg.TURNPerSource,
		Connections: s.cfg.TURNAllocations, ConnectionsPerSource: s.cfg.TURNPerSource, Rate: s.cfg.TURNBitrate / 8,
	}
	cfg := turn.Config{
		UDP: *s.cfg.TURN, TCP: *s.cfg.TURN, TLS: *s.cfg.TURNS, TLSConfig: s.tlsConfig(),
		ListenUDP: func(addr string, handle turn.Handle) (turn.Port, error) { return mediaport.Listen(addr, handle) },
		Media:     s.socket.Addresses, Deliver: s.socket.Receive, Virtual: mediaport.RelayedNet,
		Secret: func(day int64) []byte { return s.secret.Derive("turn " + strconv.FormatInt(day, 10)) },
		Live:   s.liveCredential,
		Limits: limits, Logger: s.logger,
	}
	relay, err := turn.Open(cfg)
	for s.without(&cfg, err) {
		relay, err = turn.Open(cfg)
	}
	if err != nil {
		return fmt.Errorf("--turn and --turns: %w", err)
	}
	if cfg.UDP == "" && cfg.TCP == "" && cfg.TLS == "" && !s.cfg.TLSConfig.HTTPS() {
		return relay.Close() // no client could reach it
	}
	s.relay = relay
	s.closers = append(s.closers, s.relay.Close)
	s.socket.Join(s.relay)
	s.turnOverTLS = s.relay.HandleTLS
	return nil
}

// without removes a port from cfg that another program uses, such as a TURN server that was there before, if the port
// is only a default: the rest of the server is useful without it. It reports whether it removed a port.
func (s *server) without(cfg *turn.Config, err error) bool {
	busy := (*turn.ListenError)(nil)
	if !errors.As(err, &busy) || !errors.Is(err, syscall.EADDRINUSE) {
		return false
	}
	flag := "--turn"
	switch {
	case busy.Transport == "UDP" && s.cfg.turnDefault:
		cfg.UDP = ""
	case busy.Transport == "TCP" && s.cfg.turnDefault:
		cfg.TCP = ""
	case busy.Transport == "TLS" && s.cfg.turnsDefault:
		cfg.TLS, flag = "", "--turns"
	default:
		return false
	}
	s.logger.Warn(
		"another program uses a default port of the relay, so some clients whose network blocks UDP may not connect",
		"port", busy.Transport+" "+busy.Address,
		"remedy", "stop that program, or choose another port with "+flag+"; "+flag+"='' switches the port off",
	)
	return true
}

// relayed holds the external ICE servers, and the credentials that have been given to sessions.
type relayed struct {
	servers []externalServer

	mu       sync.Mutex
	sessions map[string]siaran.SessionID // by credential, while the session lives
	sweepAt  int                         // number of entries at which dead ones are removed
}

// sessionCredential is the prefix of the credentials of sessions. Others have another prefix.
const sessionCredential = "s"

// newCredential returns the name of a new credential for a session, or for no session if session is empty. The name
// reveals nothing of the session's id, which is a secret.
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

// liveCredential reports whether the session of a credential still exists. A credential without a session is valid
// until it expires.
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

// iceServers returns the ICE servers for a client. host is the host name that the client uses for this server.
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

// relayURLs returns the relay's URLs for a client, in the order UDP, TCP, TLS.
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
		port = p // of HTTPS, which firewalls let through
	}
	add("turns", name, port, "tcp")
	return urls
}

// relayHost returns the name or address at which clients reach the relay.
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

// certificateHost returns a name that the certificate covers, as far as that is known.
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

// sharedPort is the port where clients reach the HTTPS of this process, and so also TURN over TLS. It is 0 if there is
// no such port, as behind a proxy, which handles only HTTP.
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

// relayFact describes the addresses of the relay for people.
func (s *server) relayFact() string {
	if s.relay == nil {
		return "none: clients that cannot reach the media port over UDP cannot watch"
	}
	var parts []string
	udp, tcp, tls := s.relay.Addresses()
	for _, p := range []struct {
		name string
		at   netip.AddrPort
	}{{"UDP", udp}, {"TCP", tcp}, {"TLS", tls}} {
		if p.at.IsValid() {
			parts = append(parts, p.name+" "+p.at.String())
		}
	}
	if port := s.httpsPort(); port != 0 {
		parts = append(parts, fmt.Sprintf("TLS on the HTTPS port (%d)", port))
	} else {
		parts = append(parts, "no TLS: it needs a certificate (--acme or --tls-cert)")
	}
	return strings.Join(parts, ", ")
}
