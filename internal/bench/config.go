package bench

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// Bounds of a run.
const (
	MaxViewers  = 5000
	MaxDuration = 10 * time.Minute
	minBitrate  = 100_000
	maxBitrate  = 50_000_000
	maxFPS      = 120
)

// Cipher is what viewers ask for in DTLS-SRTP.
type Cipher string

// The ciphers. With GCM, AES-CM is also offered, as the last choice.
const (
	GCM Cipher = "gcm"
	CM  Cipher = "cm"
)

// Relay is how viewers connect to the server's relay (RFC 8656).
type Relay string

// The transports to the relay. With NoRelay viewers connect to the media port directly, over UDP.
const (
	NoRelay  Relay = ""
	RelayUDP Relay = "udp"
	RelayTCP Relay = "tcp"
	RelayTLS Relay = "tls"
)

// Config says which server to load and how much. The zero values of the fields without a remark are not valid.
type Config struct {
	WHIP      string   // endpoint to publish to; if empty, someone else publishes and the latency is unknown
	WHEP      []string // endpoints to watch, which viewers are spread over
	Token     string   // bearer token of the publisher; may be empty
	WHEPToken string   // bearer token of the viewers; may be empty

	Viewers  int
	Readers  int // how many of the viewers read everything
	Ramp     float64
	Parallel int // joins that may run at the same time
	Cipher   Cipher
	Relay    Relay          // with one, viewers send and receive only through it
	Roots    *x509.CertPool // of HTTPS and of a relay over TLS; nil for the system's

	Bitrate          int // of the video, in bits a second
	FPS              int
	KeyframeInterval time.Duration
	IgnorePLI        bool

	JoinTimeout time.Duration // from the request to the complete first key frame
	Settle      time.Duration // from the last join to the measured time; may be 0
	Duration    time.Duration // of the measured time
	PID         int           // the server's process on this machine; 0: it is not measured

	// OneCPU keeps Go's scheduler from waking one thread for another during the measured time. With few readers that is
	// most of what they cost. It affects the whole process, so use it only in a process that does nothing else.
	OneCPU bool

	Progress io.Writer // lines for people about the phases; nil: none
}

func (c *Config) check() error {
	var wrong []error
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	say(len(c.WHEP) == 0 || len(c.WHEP) > maxPlaces, "--whep: give 1 to %d endpoints", maxPlaces)
	for _, whep := range c.WHEP {
		say(!isEndpoint(whep), "--whep %q: give the URL of a WHEP endpoint, such as http://host:8080/whep/cats", whep)
	}
	say(c.WHIP != "" && !isEndpoint(c.WHIP),
		"--whip %q: give the URL of a WHIP endpoint, such as http://host:8080/whip/cats", c.WHIP)
	say(c.Viewers < 1 || c.Viewers > MaxViewers, "--viewers %d: give 1 to %d", c.Viewers, MaxViewers)
	say(c.Readers < 0, "--readers %d: give 0 or more", c.Readers)
	say(!(c.Ramp > 0 && c.Ramp <= 10_000), "--ramp %g: give a number of joins a second, up to 10000", c.Ramp)
	say(c.Parallel < 1 || c.Parallel > MaxViewers, "--parallel %d: give 1 to %d", c.Parallel, MaxViewers)
	say(c.Cipher != GCM && c.Cipher != CM, "--cipher %q: give gcm or cm", c.Cipher)
	say(c.Relay != NoRelay && c.Relay != RelayUDP && c.Relay != RelayTCP && c.Relay != RelayTLS,
		"--relay %q: give udp, tcp or tls", c.Relay)
	say(c.Bitrate < minBitrate || c.Bitrate > maxBitrate, "--bitrate %d: give 100k to 50M", c.Bitrate)
	say(c.FPS < 1 || c.FPS > maxFPS, "--fps %d: give 1 to %d", c.FPS, maxFPS)
	say(c.KeyframeInterval < 100*time.Millisecond || c.KeyframeInterval > 5*time.Minute,
		"--keyframe-interval %s: give 100ms to 5m", c.KeyframeInterval)
	say(c.JoinTimeout < time.Second || c.JoinTimeout > MaxDuration,
		"--join-timeout %s: give 1s to 10m", c.JoinTimeout)
	say(c.Settle < 0 || c.Settle > time.Minute, "--settle %s: give 0s to 1m", c.Settle)
	say(c.Duration < time.Second || c.Duration > MaxDuration, "--duration %s: give 1s to 10m", c.Duration)
	say(c.PID < 0, "--pid %d: give the number of a process", c.PID)
	say(c.Viewers > 0 && float64(c.Viewers)/c.Ramp > MaxDuration.Seconds(),
		"--ramp %g: %d viewers would take more than %s to join", c.Ramp, c.Viewers, MaxDuration)
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	if c.Readers > 0 {
		c.Readers = max(c.Readers, len(c.WHEP)) // one at least of each server
	}
	c.Readers = min(c.Readers, c.Viewers)
	return errors.Join(wrong...)
}

func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// onLoopback reports whether a URL names this machine.
func onLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// localAddress returns the address from which a host is reached. It finds it without sending anything.
func localAddress(endpoint string) (netip.Addr, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return netip.Addr{}, err
	}
	conn, err := net.Dial("udp", net.JoinHostPort(u.Hostname(), "9"))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s cannot be reached: %w", u.Hostname(), err)
	}
	defer conn.Close() // was never written to
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
