package server

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"siaran/web/access"
)

const linkLife = 30 * 24 * time.Hour // of the token in the printed studio link

// Banner is what people are told when the server is ready.
type Banner struct {
	URL            string // of the server, without a trailing slash
	Studio         string // URL with a token in its fragment: a secret
	Admin          string // that token
	Media          string // UDP addresses
	TCP            string // TCP addresses; empty if there are none
	Relay          string // addresses of TURN, or that there is no relay
	Operators      string // URL of metrics and profiles; empty if they are off
	AddressWarning string // what is wrong with the addresses; empty if nothing is
	Data           string // data folder
	TokenFlags     string // of siaran token, beside --data, so that it makes tokens for this server
	Demo           bool
	HTTPS          string // where the certificate comes from; empty for plain HTTP
	PlainHTTP      bool   // other machines can connect over plain HTTP
}

func (s *server) newBanner() (Banner, error) {
	admin, err := s.secret.Mint(access.Claims{
		Stream:  access.AllStreams,
		Scopes:  []access.Scope{access.Admin},
		Expires: time.Now().Add(linkLife),
	})
	if err != nil {
		return Banner{}, err
	}
	data, err := filepath.Abs(s.cfg.Data)
	if err != nil {
		return Banner{}, err
	}
	flags, err := s.cfg.tokenFlags()
	if err != nil {
		return Banner{}, err
	}
	url := s.publicURL()
	media := make([]string, 0, 4)
	for _, a := range s.socket.Addresses() {
		media = append(media, a.String())
	}
	var tcp []string
	if s.mediaTCP != nil {
		for _, a := range s.tcpAddresses() {
			tcp = append(tcp, a.String())
		}
	}
	return Banner{
		URL:            url,
		Studio:         url + "/studio#token=" + admin,
		Admin:          admin,
		Media:          strings.Join(media, ", "),
		TCP:            strings.Join(tcp, ", "),
		Relay:          s.relayFact(),
		Operators:      s.adminURL(),
		AddressWarning: s.addressWarning(),
		Data:           data,
		TokenFlags:     flags,
		Demo:           s.cfg.Demo,
		HTTPS:          s.certificateFact(),
		PlainHTTP:      s.plain(),
	}, nil
}

// Print writes the banner for people. It includes the link to the studio only on a terminal, because the link holds a
// token: journald and docker keep other output for a long time and show it to others.
func (f Banner) Print(w io.Writer, terminal bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  Siaran is ready.\n\n")
	fmt.Fprintf(&b, "  Dashboard   %s/\n", f.URL)
	if f.Demo {
		fmt.Fprintf(&b, "  Demo        %s/watch/%s\n", f.URL, DemoStream)
	}
	if terminal {
		fmt.Fprintf(&b, "  Studio      %s\n", f.Studio)
		fmt.Fprintf(&b, "              (this link allows everything for 30 days: keep it to yourself)\n\n")
	} else {
		fmt.Fprintf(&b, "  Studio      %s/studio\n", f.URL)
		fmt.Fprintf(&b, "              It asks for a token: %s\n\n", f.tokenCommand("'*'", access.Admin))
	}
	fmt.Fprintf(&b, "  OBS         Settings, Stream, Service WHIP\n")
	fmt.Fprintf(&b, "              Server        %s/whip/cats\n", f.URL)
	fmt.Fprintf(&b, "              Bearer token  %s\n\n", f.tokenCommand("cats", access.Publish))
	fmt.Fprintf(&b, "  Media       UDP %s\n", f.Media)
	if f.TCP != "" {
		fmt.Fprintf(&b, "              TCP %s, for broadcasters without UDP\n", f.TCP)
	}
	fmt.Fprintf(&b, "  Relay       %s\n", f.Relay)
	if f.HTTPS != "" {
		fmt.Fprintf(&b, "  HTTPS       %s\n", f.HTTPS)
	}
	if f.Operators != "" {
		fmt.Fprintf(&b, "  Metrics     %s/metrics\n", f.Operators)
	}
	fmt.Fprintf(&b, "  Data        %s\n\n", f.Data)
	if f.AddressWarning != "" {
		fmt.Fprintf(&b, "  Warning     %s\n\n", wrapped(f.AddressWarning, "              "))
	}
	if f.PlainHTTP {
		fmt.Fprintf(&b, "  Warning     Other machines can connect over plain HTTP: tokens can be read in transit, and\n"+
			"              browsers allow no camera. Use one of these:\n"+
			"                --acme live.example.org --redirect :80     HTTPS with an automatic certificate\n"+
			"                --tls-cert FILE --tls-key FILE             HTTPS with your own certificate\n"+
			"                --listen 127.0.0.1:8080 --base-url https://live.example.org --trusted-proxy 127.0.0.1/32\n"+
			"                                                           behind a proxy on this machine\n"+
			"                --listen 127.0.0.1:8080                    for this machine only\n\n")
	}
	_, _ = io.WriteString(w, b.String()) // there may be no reader
}

// tokenCommand returns the command line that makes a token for this server.
func (f Banner) tokenCommand(stream string, scope access.Scope) string {
	return fmt.Sprintf("%s token --data %s%s --stream %s --scope %s",
		commandName(), quoted(f.Data), f.TokenFlags, stream, scope)
}

// tokenFlags are the flags, beside --data, without which siaran token would sign with another secret, or look for the
// generation of keys in another listing.
func (c Config) tokenFlags() (string, error) {
	var b strings.Builder
	for _, file := range c.SecretFile {
		path, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		b.WriteString(" --secret-file " + quoted(path))
	}
	if c.Listing == "firestore" {
		b.WriteString(" --listing firestore")
		if c.FirebaseProject != "" {
			b.WriteString(" --firebase-project " + quoted(c.FirebaseProject))
		}
	}
	return b.String(), nil
}

// wrapped breaks text into lines and indents all but the first.
func wrapped(text, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch column += len(word) + 1; {
		case i == 0:
		case column > 100:
			b.WriteString("\n" + indent)
			column = len(word)
		default:
			b.WriteString(" ")
		}
		b.WriteString(word)
	}
	return b.String()
}

// Log writes the banner to a log, without the token, which does not belong there.
func (f Banner) Log(logger *slog.Logger) {
	logger.Info("ready",
		"url", f.URL,
		"studio", f.URL+"/studio",
		"token", f.tokenCommand("'*'", access.Admin),
		"whip", f.URL+"/whip/{stream}",
		"media", f.Media,
		"tcp", f.TCP,
		"relay", f.Relay,
		"https", f.HTTPS,
		"operators", f.Operators,
		"data", f.Data,
		"demo", f.Demo,
	)
	if f.AddressWarning != "" {
		logger.Warn(f.AddressWarning)
	}
	if f.PlainHTTP {
		logger.Warn("other machines can connect over plain HTTP: tokens can be read in transit, and browsers allow no " +
			"camera; set --acme DOMAIN, or --tls-cert and --tls-key; or put a proxy with HTTPS in front of the server and set " +
			"--listen 127.0.0.1:8080 --base-url https://... --trusted-proxy 127.0.0.1/32")
	}
}

// commandName returns the command that started this program.
func commandName() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/siaran"
	}
	return "siaran"
}

// quoted quotes a path for a shell if necessary.
func quoted(s string) string {
	if strings.ContainsAny(s, " \t'\"\\$&;|<>()*?`#~") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
