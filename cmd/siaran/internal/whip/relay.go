package whip

import (
	"context"
	"crypto/tls"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/pion/webrtc/v3"
)

const (
	relayTime = 5 * time.Second // until a relay has taken a connection
	maxRelays = 8               // of which addresses are asked for
)

// through is cfg by way of the relays that the server names. They are not asked before the direct ways have failed, as most
// broadcasters need none.
func (cfg Config) through(ctx context.Context) (Config, error) {
	endpoint, err := url.Parse(cfg.URL)
	if err != nil {
		return cfg, err
	}
	relays, err := newSignaller(cfg.Client, cfg.Token).relays(ctx, endpoint)
	if err != nil {
		return cfg, err
	}
	secure := make(map[string]bool)
	cfg.ICEServers = nil
	for _, r := range relays {
		secure[r.address] = r.secure
		cfg.ICEServers = append(cfg.ICEServers, webrtc.ICEServer{URLs: []string{r.url}, Username: r.user, Credential: r.password})
	}
	setting := cfg.Setting
	cfg.Setting = func(e *webrtc.SettingEngine) {
		// pion would wait for minutes where a firewall says nothing, and end no sooner.
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

// relayURL is what pion reads as well (RFC 7065): its parser does not return from all others. It knows no relay by its IPv6 address.
var relayURL = regexp.MustCompile(`^(turn|turns):([A-Za-z0-9_.-]{1,253})(?::([1-9][0-9]{0,4}))?(\?transport=tcp)?$`)

// relays asks an endpoint for its ICE servers (RFC 9725 section 4.6). Those over UDP are left out: where they can be reached,
// the media can too, and pion waits long for them.
func (s *signaller) relays(ctx context.Context, endpoint *url.URL) ([]relay, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, body, err := s.do(ctx, http.MethodOptions, endpoint, "")
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, newServerError(res, body)
	}
	list := parseRelays(res.Header.Values("Link"))
	if len(list) == 0 {
		return nil, fmt.Errorf("%s names no relay over TCP or TLS", endpoint.Host)
	}
	return list, nil
}

// parseRelays reads Link fields (RFC 8288 section 3). What it cannot read or use it passes by.
func parseRelays(fields []string) []relay {
	var list []relay
	for _, field := range fields {
		for _, link := range splitLinks(field) {
			text, rest, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
			_, params, err := mime.ParseMediaType("text/link" + rest) // parameters are written alike
			if !ok || err != nil || params["rel"] != "ice-server" || params["username"] == "" || params["credential"] == "" {
				continue
			}
			r := relay{url: text, user: params["username"], password: params["credential"]}
			parts := relayURL.FindStringSubmatch(text)
			if parts == nil || parts[1] == "turn" && parts[4] == "" {
				continue
			}
			port := parts[3]
			if r.secure = parts[1] == "turns"; port == "" {
				port = map[bool]string{false: "3478", true: "5349"}[r.secure]
			}
			if r.address = net.JoinHostPort(parts[2], port); len(list) < maxRelays {
				list = append(list, r)
			}
		}
	}
	return list
}

// splitLinks cuts a field into links, at commas outside of <> and of quotes.
func splitLinks(field string) []string {
	var list []string
	start, quoted, inside := 0, false, false
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !inside:
			quoted = !quoted
		case c == '<' && !quoted:
			inside = true
		case c == '>' && !quoted:
			inside = false
		case c == ',' && !quoted && !inside:
			list = append(list, strings.TrimSpace(field[start:i]))
			start = i + 1
		}
	}
	return append(list, strings.TrimSpace(field[start:]))
}
