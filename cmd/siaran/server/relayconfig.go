package server

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

// RelayConfig holds the settings of the embedded relay and of other ICE servers.
type RelayConfig struct {
	TURN            *string  `name:"turn" placeholder:"ADDRESS"`
	TURNS           *string  `name:"turns" placeholder:"ADDRESS"`
	TURNHost        string   `name:"turn-host" placeholder:"HOST"`
	TURNAllocations int      `name:"turn-allocations" default:"10000"`
	TURNPerSource   int      `name:"turn-per-source" default:"2000"`
	TURNBitrate     int      `name:"turn-bitrate" default:"20000000" placeholder:"BITS"`
	ICEServer       []string `name:"ice-server" placeholder:"URL"`
	ICESecret       string   `name:"ice-server-secret" placeholder:"SECRET"`

	turnDefault, turnsDefault bool // the ports are defaults, not set by the user
}

// checkRelay derives missing settings from --udp and from HTTPS, and checks the rest. It reads settings outside
// RelayConfig too.
func (c *Config) checkRelay() error {
	var wrong []error
	host, port, err := net.SplitHostPort(c.UDP)
	if err != nil {
		host, port = "", "" // already reported for --udp
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
	case c.TURNS == nil && c.TLSConfig.HTTPS() && *c.TURN != "":
		c.TURNS, c.turnsDefault = standard(turnsPort), true
	case c.TURNS == nil:
		c.TURNS = &none
	case *c.TURNS != "" && !c.TLSConfig.HTTPS():
		wrong = append(wrong, errors.New("--turns needs a certificate: give --tls-cert and --tls-key, or --acme"))
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
	}{
		{"turn-allocations", &c.TURNAllocations, 1, 10_000},
		{"turn-per-source", &c.TURNPerSource, 1, 2000},
		{"turn-bitrate", &c.TURNBitrate, 100_000, 20_000_000},
	} {
		if *n.value == 0 {
			*n.value = n.usual
		}
		if *n.value < n.least {
			wrong = append(wrong, fmt.Errorf("--%s %d: give %d or more", n.flag, *n.value, n.least))
		}
	}
	for _, text := range c.ICEServer {
		if _, err := parseICEServer(text, c.ICESecret); err != nil {
			wrong = append(wrong, fmt.Errorf("--ice-server: %w", err)) // without the text, which may contain a password
		}
	}
	return errors.Join(wrong...)
}

// OptionalRelayPorts reports which of --turn and --turns are at their default ports. The server starts without these
// ports if other programs use them.
func (c Config) OptionalRelayPorts() (turn, turns bool) { return c.turnDefault, c.turnsDefault }

// externalServer is an ICE server outside this process.
type externalServer struct {
	url            string // as browsers expect it (RFC 7064, RFC 7065)
	user, password string
	secret         string // for credentials that expire; empty if user and password are fixed or not needed
}

// parseICEServer reads scheme:[user:password@]host[:port][?transport=...].
func parseICEServer(text, secret string) (externalServer, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	isTURN := scheme == "turn" || scheme == "turns"
	if !ok || !isTURN && scheme != "stun" && scheme != "stuns" {
		return externalServer{}, errors.New("give something like stun:stun.example.org:3478 " +
			"or turn:user:password@turn.example.org:3478?transport=udp")
	}
	var s externalServer
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		s.user, s.password, ok = strings.Cut(rest[:at], ":")
		rest = rest[at+1:]
		if !ok || s.user == "" || s.password == "" || !isTURN {
			return externalServer{}, errors.New("only user:password of a TURN server may stand before @")
		}
		if strings.ContainsAny(s.user+s.password, ";,\"<>\\ ") {
			return externalServer{}, errors.New("user and password must not contain spaces, quotes, angle brackets, " +
				"backslashes, commas or semicolons: common clients cannot parse them")
		}
	} else if isTURN {
		if s.secret = secret; secret == "" {
			return externalServer{}, errors.New("a TURN server needs user:password@ before its host, or --ice-server-secret")
		}
	}
	u, err := url.Parse("x://" + rest)
	queryOK := err == nil &&
		(u.RawQuery == "" || isTURN && (u.RawQuery == "transport=udp" || u.RawQuery == "transport=tcp"))
	if !queryOK || u.Path != "" || u.Fragment != "" {
		return externalServer{}, errors.New("after the scheme, give host or host:port; " +
			"a TURN server may have ?transport=udp or ?transport=tcp at the end")
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
