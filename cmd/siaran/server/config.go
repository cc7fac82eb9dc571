package server

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

	"siaran/web"
)

// Config holds the settings of serve. They come from the command line (--listen), the environment (SIARAN_LISTEN) or a
// YAML file (listen), in this order of precedence.
type Config struct {
	Listen   string       `placeholder:"ADDRESS"`
	UDP      string       `name:"udp" default:":8189" placeholder:"ADDRESS"`
	PublicIP []netip.Addr `name:"public-ip" placeholder:"IP"`
	BaseURL  string       `name:"base-url" placeholder:"URL"`
	AddressConfig
	RelayConfig
	TLSConfig
	AuthConfig
	ListingConfig
	ClusterConfig
	LoadConfig
	WebhookConfig
	AdminConfig

	Node string `placeholder:"NAME"`

	Data  string        `default:"./siaran-data" placeholder:"FOLDER"`
	Grace time.Duration `default:"30s"`

	KeepViewers time.Duration `name:"keep-viewers" default:"10s"`
	Drain       time.Duration `default:"0s"`

	MaxBroadcasts int            `name:"max-broadcasts" default:"100"`
	PerOwner      int            `name:"max-broadcasts-per-owner" default:"4"`
	MaxLayers     int            `name:"max-layers" default:"3"`
	MaxBitrate    Bitrate        `name:"max-bitrate" default:"100M" placeholder:"BITS"`
	MaxPacketRate int            `name:"max-packet-rate" default:"20000" placeholder:"PACKETS"`
	RingMemory    ByteSize       `name:"ring-memory" placeholder:"BYTES"`
	MaxViewers    int            `name:"max-viewers" default:"5000"`
	MaxJoins      int            `name:"max-joins" default:"250"`
	MaxHandshakes int            `name:"max-handshakes"`
	MaxEvents     int            `name:"max-event-streams" default:"10000"`
	StreamViewers int            `name:"max-viewers-per-stream" placeholder:"VIEWERS"`
	Burst         int            `default:"65536" placeholder:"BYTES"`
	DSCP          int            `name:"dscp" default:"0"`
	SetupTimeout  time.Duration  `name:"setup-timeout" default:"15s"`
	SourceShare   int            `name:"source-share" default:"25" placeholder:"PERCENT"`
	TrustedProxy  []netip.Prefix `name:"trusted-proxy" placeholder:"CIDR"`
	AllowOrigin   []string       `name:"allow-origin" placeholder:"URL"`

	StrictSessionAuth bool `name:"strict-session-auth"`
	LaxTrickle        bool `name:"lax-trickle"`

	Demo      bool
	LogFormat string     `name:"log-format" default:"text" enum:"text,json"`
	LogLevel  slog.Level `name:"log-level" default:"info"`
}

// Checked returns the settings with derived ones filled in, and an error that names all settings that cannot work.
func (c Config) Checked() (Config, error) {
	switch {
	case c.Listen != "":
	case c.TLSConfig.HTTPS():
		c.Listen = ":443"
	default:
		c.Listen = ":8080"
	}
	wrong := []error{
		c.checkRelay(), c.AuthConfig.check(), c.ListingConfig.check(), c.TLSConfig.check(), c.WebhookConfig.check(),
		c.AdminConfig.check(), c.LoadConfig.check(),
	}
	for _, a := range []struct{ flag, addr string }{{"listen", c.Listen}, {"udp", c.UDP}} {
		if err := checkAddress(a.addr); err != nil {
			wrong = append(wrong, fmt.Errorf("--%s %q: %w", a.flag, a.addr, err))
		}
	}
	wrong = append(wrong, c.checkAddresses())
	if c.Data == "" {
		wrong = append(wrong, errors.New("--data: give a folder"))
	}
	wrong = append(wrong, c.checkLimits(), c.checkBaseURL(), c.checkNode(), c.checkCluster())
	return c, errors.Join(wrong...)
}

// checkLimits checks counts, sizes and times. It derives --ring-memory from the machine if it is not set.
func (c *Config) checkLimits() error {
	if c.RingMemory == 0 {
		c.RingMemory = ByteSize(ringMemory())
	}
	var wrong []error
	say := func(bad bool, format string, value any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, value))
		}
	}
	say(c.Grace < 0 || c.Grace > time.Hour, "--grace %s: give a time from 0s to 1h", c.Grace)
	say(c.Drain < 0 || c.Drain > time.Hour, "--drain %s: give a time from 0s to 1h", c.Drain)
	say(c.KeepViewers < 0 || c.KeepViewers > time.Hour, "--keep-viewers %s: give a time from 0s to 1h", c.KeepViewers)
	say(c.MaxBroadcasts < 1, "--max-broadcasts %d: give 1 or more", c.MaxBroadcasts)
	say(c.PerOwner < 1, "--max-broadcasts-per-owner %d: give 1 or more", c.PerOwner)
	say(c.MaxLayers < 1 || c.MaxLayers > 8, "--max-layers %d: give 1 to 8", c.MaxLayers)
	say(c.MaxBitrate < 100_000, "--max-bitrate %d: give 100k or more", c.MaxBitrate)
	say(c.RingMemory < leastRingMemory, "--ring-memory %d: give 16M or more", c.RingMemory)
	say(c.MaxViewers < 1, "--max-viewers %d: give 1 or more", c.MaxViewers)
	say(c.MaxPacketRate < 1000, "--max-packet-rate %d: give 1000 or more", c.MaxPacketRate)
	say(c.MaxJoins < 1 || c.MaxJoins > 1_000_000, "--max-joins %d: give 1 to 1000000", c.MaxJoins)
	say(c.MaxHandshakes < 0, "--max-handshakes %d: give 1 or more", c.MaxHandshakes)
	say(c.MaxEvents < 1, "--max-event-streams %d: give 1 or more", c.MaxEvents)
	say(c.StreamViewers < 0, "--max-viewers-per-stream %d: give 1 or more, or 0 for no bound", c.StreamViewers)
	say(c.SourceShare < 1 || c.SourceShare > 100, "--source-share %d: give 1 to 100 percent", c.SourceShare)
	say(c.Burst < 2000, "--burst %d: give 2000 bytes or more", c.Burst)
	say(c.DSCP < 0 || c.DSCP > 63, "--dscp %d: give 0 to 63", c.DSCP)
	say(c.SetupTimeout < time.Second || c.SetupTimeout > 5*time.Minute,
		"--setup-timeout %s: give a time from 1s to 5m", c.SetupTimeout)
	for _, origin := range c.AllowOrigin {
		say(!isOrigin(origin), "--allow-origin %q: give an origin such as https://www.example.org, without a path", origin)
	}
	return errors.Join(wrong...)
}

// isOrigin reports whether a browser could send this as Origin. Others would never match.
func isOrigin(text string) bool {
	if text == "*" || text == "null" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.Scheme+"://"+u.Host == text && text == strings.ToLower(text)
}

// checkBaseURL checks --base-url and removes slashes at its end.
func (c *Config) checkBaseURL() error {
	if strings.TrimRight(c.BaseURL, "/") == "" {
		c.BaseURL = ""
		return nil
	}
	base, err := CheckBaseURL(c.BaseURL)
	c.BaseURL = base
	return err
}

// CheckBaseURL is web.CheckBaseURL for the flag.
func CheckBaseURL(text string) (string, error) {
	base, err := web.CheckBaseURL(text)
	if err != nil {
		err = fmt.Errorf("--base-url %q: %w", base, err)
	}
	return base, err
}

// checkNode checks --node. If it is not set, it is the host name.
func (c *Config) checkNode() error {
	if c.Node == "" {
		name, err := os.Hostname()
		if err != nil || name == "" {
			name = "siaran"
		}
		c.Node = name
	}
	if len(c.Node) > 100 || strings.ContainsAny(c.Node, "/\n\r\t\x00") {
		return fmt.Errorf("--node %q: give a name of at most 100 characters without slashes", c.Node)
	}
	return nil
}

func checkAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("give host:port or :port")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return errors.New("the port must be a number up to 65535")
	}
	return nil
}
