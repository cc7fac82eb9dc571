package whip

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/internal/signalling"
)

const (
	relayTime = 5 * time.Second // for connecting to a relay
	maxRelays = 8               // that are asked for addresses
)

// through returns cfg changed to use the relays that the server names. They are asked only after the direct ways have
// failed, because most broadcasters need none.
func (cfg Config) through(ctx context.Context) (Config, error) {
	endpoint, err := url.Parse(cfg.URL)
	if err != nil {
		return cfg, err
	}
	relays, err := relays(ctx, signalling.New(cfg.Client, cfg.Token), endpoint)
	if err != nil {
		return cfg, err
	}
	secure := make(map[string]bool)
	cfg.ICEServers = nil
	for _, r := range relays {
		secure[r.address] = r.secure
		cfg.ICEServers = append(cfg.ICEServers, r.server())
	}
	setting := cfg.Setting
	cfg.Setting = func(e *webrtc.SettingEngine) {
		// pion would wait for minutes if a firewall drops its packets, and could not be stopped sooner.
		e.SetICEProxyDialer(dialer(func(_, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, relayTime)
			defer cancel()
			if secure[address] {
				return new(tls.Dialer).DialContext(ctx, "tcp", address)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}))
		if setting != nil {
			setting(e)
		}
	}
	return cfg, nil
}

type dialer func(network, address string) (net.Conn, error)

// Dial implements proxy.Dialer.
func (d dialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

// relay is a TURN server over TCP or TLS.
type relay struct {
	url            string
	address        string // host:port
	secure         bool
	user, password string
}

func (r relay) server() webrtc.ICEServer {
	return webrtc.ICEServer{URLs: []string{r.url}, Username: r.user, Credential: r.password}
}

// relayURL matches the URLs (RFC 7065) that pion can parse: its parser does not return from some others. Relays that
// are named by an IPv6 address do not match.
var relayURL = regexp.MustCompile(`^(turn|turns):([A-Za-z0-9_.-]{1,253})(?::([1-9][0-9]{0,4}))?(\?transport=tcp)?$`)

// relays asks an endpoint for its ICE servers. It leaves out those over UDP: a client that can reach them can reach the
// media port too, and pion waits for them for a long time.
func relays(ctx context.Context, signal *signalling.Client, endpoint *url.URL) ([]relay, error) {
	links, err := signal.Links(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	list := parseRelays(links)
	if len(list) == 0 {
		return nil, fmt.Errorf("%s names no relay over TCP or TLS", endpoint.Host)
	}
	return list, nil
}

// parseRelays reads Link fields, and skips the servers that it cannot use.
func parseRelays(fields []string) []relay {
	var list []relay
	for _, server := range signalling.ICEServers(fields) {
		parts := relayURL.FindStringSubmatch(server.URL)
		if parts == nil || parts[1] == "turn" && parts[4] == "" || server.Username == "" || server.Credential == "" {
			continue
		}
		r := relay{url: server.URL, user: server.Username, password: server.Credential, secure: parts[1] == "turns"}
		port := parts[3]
		if port == "" {
			port = map[bool]string{false: "3478", true: "5349"}[r.secure]
		}
		if r.address = net.JoinHostPort(parts[2], port); len(list) < maxRelays {
			list = append(list, r)
		}
	}
	return list
}
