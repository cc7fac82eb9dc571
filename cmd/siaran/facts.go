package main

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

// facts is what people need to know when the server is ready.
type facts struct {
	url    string // of the server, without a slash at the end
	studio string // with a token in its fragment: a secret
	admin  string // that token
	media  string // UDP addresses
	tcp    string // TCP addresses; empty: none
	relay  string // where TURN is spoken, or that it is not
	wrong  string // with the addresses; empty: nothing
	data   string // folder
	demo   bool
	https  string // whose certificate; empty: plain HTTP
	plain  bool   // plain HTTP is open to other machines
}

func (s *server) facts() (facts, error) {
	admin, err := s.secret.Mint(access.Claims{Stream: access.AllStreams, Scopes: []access.Scope{access.Admin}, Expires: time.Now().Add(linkLife)})
	if err != nil {
		return facts{}, err
	}
	data, err := filepath.Abs(s.cfg.Data)
	if err != nil {
		return facts{}, err
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
	return facts{
		tcp: strings.Join(tcp, ", "), relay: s.relayFact(), wrong: s.addressWarning(),
		url: url, studio: url + "/studio#token=" + admin, admin: admin,
		media: strings.Join(media, ", "), data: data, demo: s.cfg.Demo, https: s.certificateFact(), plain: s.plain(),
	}, nil
}

// print tells it on a terminal.
func (f facts) print(w io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  Siaran is ready.\n\n")
	fmt.Fprintf(&b, "  Dashboard   %s/\n", f.url)
	if f.demo {
		fmt.Fprintf(&b, "  Demo        %s/watch/%s\n", f.url, demoStream)
	}
	fmt.Fprintf(&b, "  Studio      %s\n", f.studio)
	fmt.Fprintf(&b, "              (this link may do everything for 30 days: keep it to yourself)\n\n")
	fmt.Fprintf(&b, "  OBS         Settings, Stream, Service WHIP\n")
	fmt.Fprintf(&b, "              Server        %s/whip/cats\n", f.url)
	fmt.Fprintf(&b, "              Bearer token  %s token --data %s --stream cats --scope publish\n\n", commandName(), quoted(f.data))
	fmt.Fprintf(&b, "  Media       UDP %s\n", f.media)
	if f.tcp != "" {
		fmt.Fprintf(&b, "              TCP %s, for broadcasters without UDP\n", f.tcp)
	}
	fmt.Fprintf(&b, "  Relay       %s\n", f.relay)
	if f.https != "" {
		fmt.Fprintf(&b, "  HTTPS       %s\n", f.https)
	}
	fmt.Fprintf(&b, "  Data        %s\n\n", f.data)
	if f.wrong != "" {
		fmt.Fprintf(&b, "  Warning     %s\n\n", wrapped(f.wrong, "              "))
	}
	if f.plain {
		fmt.Fprintf(&b, "  Warning     Other machines reach this over plain HTTP: tokens can be read on the way, and browsers\n"+
			"              allow no camera. One of these ends that:\n"+
			"                --acme live.example.org --redirect :80     HTTPS with a certificate it gets by itself\n"+
			"                --tls-cert FILE --tls-key FILE             HTTPS with a certificate of yours\n"+
			"                --listen 127.0.0.1:8080 --base-url https://live.example.org --trusted-proxy 127.0.0.1/32\n"+
			"                                                           behind a proxy on this machine\n"+
			"                --listen 127.0.0.1:8080                    for this machine alone\n\n")
	}
	io.WriteString(w, b.String()) // nobody may be listening
}

// wrapped breaks a text into lines, all but the first of them indented.
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

// log tells the same to a log, which is no place for the token.
func (f facts) log(logger *slog.Logger) {
	logger.Info("ready", "url", f.url, "studio", f.url+"/studio", "whip", f.url+"/whip/{stream}", "media", f.media, "tcp", f.tcp, "relay", f.relay, "https", f.https, "data", f.data, "demo", f.demo)
	if f.wrong != "" {
		logger.Warn(f.wrong)
	}
	if f.plain {
		logger.Warn("other machines reach this over plain HTTP: tokens can be read on the way, and browsers allow no camera; give --acme DOMAIN, or --tls-cert and --tls-key; or put a proxy with HTTPS before it and say --listen 127.0.0.1:8080 --base-url https://... --trusted-proxy 127.0.0.1/32")
	}
}

// commandName is how this program was called.
func commandName() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/siaran"
	}
	return "siaran"
}

// quoted makes a path fit for a shell's command line.
func quoted(s string) string {
	if strings.ContainsAny(s, " \t'\"\\$&;|<>()*?`#~") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
