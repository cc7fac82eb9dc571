package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config is what serve can be told, on the command line, in the environment (SIARAN_LISTEN) or in a YAML file
// (listen), in this order of precedence.
type Config struct {
	File string `name:"config" placeholder:"FILE" help:"YAML file with any of these settings; see siaran.example.yaml."`

	Listen   string       `placeholder:"ADDRESS" help:"Address of the pages and of the API (default :8080, or :443 when it speaks HTTPS)."`
	UDP      string       `name:"udp" default:":8189" placeholder:"ADDRESS" help:"Address of all media, UDP (default ${default})."`
	PublicIP []netip.Addr `name:"public-ip" placeholder:"IP" help:"Address under which clients reach the media port, for 1:1 NAT and containers; announced instead of the interfaces' addresses; may be repeated."`
	BaseURL  string       `name:"base-url" placeholder:"URL" help:"Public address of the server, such as https://live.example.org, when a proxy stands before it or other servers share its listing."`
	AddressConfig
	RelayConfig
	TLSConfig
	AuthConfig
	ListingConfig

	Node string `placeholder:"NAME" help:"Name of this server in the listing (default: the host name)."`

	Data  string        `default:"./siaran-data" placeholder:"FOLDER" help:"Folder of the secret, the media certificate and the listing (default ${default})."`
	Grace time.Duration `default:"30s" help:"How long viewers wait for a broadcaster that has vanished (default ${default})."`

	MaxBroadcasts int            `name:"max-broadcasts" default:"100" help:"Broadcasters at the same time (default ${default})."`
	MaxViewers    int            `name:"max-viewers" default:"5000" help:"Viewers at the same time (default ${default})."`
	Burst         int            `default:"65536" placeholder:"BYTES" help:"What one viewer is sent back to back at most; the rest of a large frame is paced (default ${default})."`
	DSCP          int            `name:"dscp" default:"0" help:"Mark of media packets for routers that heed it (RFC 8837), 0 to 63 (default ${default})."`
	SetupTimeout  time.Duration  `name:"setup-timeout" default:"15s" help:"Time for a client to connect its media after the answer (default ${default})."`
	TrustedProxy  []netip.Prefix `name:"trusted-proxy" placeholder:"CIDR" help:"Proxies whose X-Forwarded-For is believed, such as 127.0.0.1/32; may be repeated."`
	AllowOrigin   []string       `name:"allow-origin" placeholder:"URL" help:"Other sites whose pages may call the API; may be repeated (default: all)."`

	StrictSessionAuth bool `name:"strict-session-auth" help:"Ask for the token on PATCH and DELETE of a session too; common players do not send it."`
	LaxTrickle        bool `name:"lax-trickle" help:"Take candidates without If-Match from clients that send none, such as older players."`

	Demo      bool       `help:"Broadcast the built-in demo clip as stream demo."`
	LogFormat string     `name:"log-format" default:"text" enum:"text,json" help:"Log lines as text or json (default ${default})."`
	LogLevel  slog.Level `name:"log-level" default:"info" help:"debug, info, warn or error (default ${default})."`
}

// checked fills in what is derived and says what cannot work.
func (c Config) checked() (Config, error) {
	var wrong []error
	switch {
	case c.Listen != "":
	case c.TLSConfig.on():
		c.Listen = ":443"
	default:
		c.Listen = ":8080"
	}
	if err := c.checkRelay(); err != nil {
		wrong = append(wrong, err)
	}
	if err := c.AuthConfig.check(); err != nil {
		wrong = append(wrong, err)
	}
	if err := c.ListingConfig.check(); err != nil {
		wrong = append(wrong, err)
	}
	if err := c.TLSConfig.check(); err != nil {
		wrong = append(wrong, err)
	}
	for _, a := range []struct{ flag, addr string }{{"listen", c.Listen}, {"udp", c.UDP}} {
		if err := checkAddress(a.addr); err != nil {
			wrong = append(wrong, fmt.Errorf("--%s %q: %w", a.flag, a.addr, err))
		}
	}
	if err := c.checkAddresses(); err != nil {
		wrong = append(wrong, err)
	}
	if c.Data == "" {
		wrong = append(wrong, errors.New("--data: give a folder"))
	}
	if c.Grace < 0 || c.Grace > time.Hour {
		wrong = append(wrong, fmt.Errorf("--grace %s: give a time from 0s to 1h", c.Grace))
	}
	if c.MaxBroadcasts < 1 {
		wrong = append(wrong, fmt.Errorf("--max-broadcasts %d: give 1 or more", c.MaxBroadcasts))
	}
	if c.MaxViewers < 1 {
		wrong = append(wrong, fmt.Errorf("--max-viewers %d: give 1 or more", c.MaxViewers))
	}
	if c.Burst < 2000 {
		wrong = append(wrong, fmt.Errorf("--burst %d: give 2000 bytes or more", c.Burst))
	}
	if c.DSCP < 0 || c.DSCP > 63 {
		wrong = append(wrong, fmt.Errorf("--dscp %d: give 0 to 63", c.DSCP))
	}
	if c.SetupTimeout < time.Second || c.SetupTimeout > 5*time.Minute {
		wrong = append(wrong, fmt.Errorf("--setup-timeout %s: give a time from 1s to 5m", c.SetupTimeout))
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	if u, err := url.Parse(c.BaseURL); c.BaseURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "") {
		wrong = append(wrong, fmt.Errorf("--base-url %q: give something like https://live.example.org", c.BaseURL))
	}
	if c.Node == "" {
		name, err := os.Hostname()
		if err != nil || name == "" {
			name = "siaran"
		}
		c.Node = name
	}
	if len(c.Node) > 100 || strings.ContainsAny(c.Node, "/\n\r\t\x00") {
		wrong = append(wrong, fmt.Errorf("--node %q: give a name of at most 100 characters without slashes", c.Node))
	}
	return c, errors.Join(wrong...)
}

func checkAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("give host:port or :port")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return errors.New("the port is a number up to 65535")
	}
	return nil
}
