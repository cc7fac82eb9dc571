package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"

	"siaran/cmd/siaran/internal/doctor"
	"siaran/egress"
	"siaran/listing"
)

// doctorCommand takes what serve takes, and looks instead of serving.
type doctorCommand struct {
	Config `embed:""`

	URL   string `name:"url" placeholder:"URL" help:"Check this running server from outside, such as https://live.example.org, instead of this machine and its configuration."`
	Token string `placeholder:"TOKEN" help:"With --url: a token that allows to publish any stream; one is published for the time of the checks. As SIARAN_TOKEN it does not show in the list of processes."`
	JSON  bool   `name:"json" help:"Print the findings as JSON."`
}

// Validate finds what makes no sense before anything is looked at.
func (d *doctorCommand) Validate() error {
	if d.URL == "" {
		return nil
	}
	if _, err := doctor.ParseURL(d.URL); err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	return nil
}

// Run prints each finding, and fails when a check has.
func (d doctorCommand) Run(ctx context.Context, c console) error {
	tell := func(f doctor.Check) { fmt.Fprintln(c.out, f) }
	if d.JSON {
		tell = nil
	}
	var report *doctor.Report
	if d.URL != "" {
		var err error
		if report, err = doctor.Server(ctx, doctor.ServerConfig{URL: d.URL, Token: d.Token}, tell); err != nil {
			return err
		}
	} else {
		report = doctor.Machine(ctx, d.machine(), tell)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted before all was checked")
	}
	return conclude(c.out, report, d.JSON)
}

func conclude(w io.Writer, report *doctor.Report, asJSON bool) error {
	if asJSON {
		if err := report.JSON(w); err != nil {
			return err
		}
	}
	switch n := report.Failed(); {
	case n == 1:
		return errors.New("one check has failed")
	case n > 1:
		return fmt.Errorf("%d checks have failed", n)
	}
	return nil
}

// machine is the configuration as doctor looks at it.
func (d doctorCommand) machine() doctor.MachineConfig {
	cfg, err := d.Config.checked()
	m := doctor.MachineConfig{Problems: err, Data: cfg.Data, MaxViewers: cfg.MaxViewers, MaxBroadcasts: cfg.MaxBroadcasts}
	if err != nil {
		return m
	}
	m.UDP, m.PublicIP, m.ACME = cfg.UDP, cfg.PublicIP, cfg.ACME
	m.Socket = egress.SocketOptions{Public: cfg.PublicIP, Interfaces: cfg.announces, DSCP: cfg.DSCP}
	m.Ports = portsOf(cfg)
	if host, err := stunServer(cfg.Discover); err == nil {
		m.STUN, m.Discover = append(m.STUN, host), true
	}
	for _, text := range cfg.ICEServer {
		if host, err := stunServer(text); err == nil {
			m.STUN = append(m.STUN, host)
		}
	}
	if cfg.TLSCert != "" {
		m.Certificates = []doctor.KeyPair{{Certificate: cfg.TLSCert, Key: cfg.TLSKey}}
	}
	if u, err := url.Parse(cfg.BaseURL); err == nil && u.Hostname() != "" {
		m.Hosts = append(m.Hosts, u.Hostname())
	}
	if cfg.TURNHost != "" && *cfg.TURNS != "" {
		m.Hosts = append(m.Hosts, cfg.TURNHost)
	}
	if m.Emulators = emulatorsSet(); cfg.Listing == "firestore" {
		m.Firestore = func(ctx context.Context) (*listing.Firestore, error) {
			return cfg.openFirestore(ctx, listing.FirestoreConfig{Presence: listing.PresenceOff})
		}
	}
	if cfg.AuthFirebase {
		m.Accounts = cfg.askAccounts
	}
	switch {
	case (m.Firestore != nil || cfg.AuthFirebase) && len(m.Emulators) == 0:
		m.Reference = "https://firestore.googleapis.com/"
	case len(cfg.ACME) > 0:
		m.Reference = cmp.Or(cfg.ACMECA, "https://acme-v02.api.letsencrypt.org/directory")
	}
	return m
}

// askAccounts finds out whether Firebase Authentication can be used.
func (c Config) askAccounts(ctx context.Context) error {
	signIn, err := c.signIn()
	if err != nil {
		return err
	}
	accounts, err := c.openAccounts(ctx, signIn, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return accounts.Check(ctx)
}

// portsOf is the ports that a server opens.
func portsOf(cfg Config) []doctor.Port {
	ports := []doctor.Port{
		{Name: "port-http", Network: "tcp", Address: cfg.Listen, Flag: "--listen", HTTP: true, TLS: cfg.TLSConfig.on()},
		{Name: "port-redirect", Network: "tcp", Address: cfg.Redirect, Flag: "--redirect"},
		{Name: "port-media", Network: "udp", Address: cfg.UDP, Flag: "--udp"},
		{Name: "port-media-tcp", Network: "tcp", Address: *cfg.TCP, Flag: "--tcp"},
		{Name: "port-turn-udp", Network: "udp", Address: *cfg.TURN, Flag: "--turn", Spare: cfg.turnDefault},
		{Name: "port-turn-tcp", Network: "tcp", Address: *cfg.TURN, Flag: "--turn", Spare: cfg.turnDefault},
		{Name: "port-turn-tls", Network: "tcp", Address: *cfg.TURNS, Flag: "--turns", Spare: cfg.turnsDefault},
	}
	return slices.DeleteFunc(ports, func(p doctor.Port) bool { return p.Address == "" })
}
