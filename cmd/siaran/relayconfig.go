package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"siaran/web"
)

const (
	turnPort  = "3478"
	turnsPort = "5349"
)

// RelayConfig is the embedded relay, and other ICE servers.
type RelayConfig struct {
	TURN            *string  `name:"turn" placeholder:"ADDRESS" help:"Address of the relay for clients that cannot reach the media port, UDP and TCP (default: port 3478, if it is free, at the host of --udp); empty for none."`
	TURNS           *string  `name:"turns" placeholder:"ADDRESS" help:"Address of the relay over TLS (default: port 5349 where there is HTTPS, if it is free, at the host of --udp); empty for none."`
	TURNHost        string   `name:"turn-host" placeholder:"HOST" help:"Name or address under which clients reach the relay (default: --public-ip, else that of --base-url, else what they call this server)."`
	TURNAllocations int      `name:"turn-allocations" default:"10000" help:"Relayed addresses at the same time; a browser takes up to three for each viewer (default ${default})."`
	TURNPerSource   int      `name:"turn-per-source" default:"2000" help:"Relayed addresses, and connections to the relay, of one client address or IPv6 /64 (default ${default}); twice as many of one /24 or IPv6 /48."`
	TURNBitrate     int      `name:"turn-bitrate" default:"20000000" placeholder:"BITS" help:"Bits a second of one relayed client, each way (default ${default})."`
	ICEServer       []string `name:"ice-server" placeholder:"URL" help:"Another STUN or TURN server for clients, such as turn:user:password@turn.example.org:3478?transport=udp; may be repeated."`
	ICESecret       string   `name:"ice-server-secret" placeholder:"SECRET" help:"Secret shared with those TURN servers that are given without a user, for credentials that expire."`

	turnDefault, turnsDefault bool // the ports are the usual ones, which nobody has asked for
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
		c.TURN, c.turnDefault = standard(turnPort), true
	}
	switch none := ""; {
	case c.TURNS == nil && c.TLSConfig.on() && *c.TURN != "":
		c.TURNS, c.turnsDefault = standard(turnsPort), true
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
