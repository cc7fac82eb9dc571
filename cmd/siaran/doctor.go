package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	"siaran"
	"siaran/cmd/siaran/server"
	"siaran/internal/doctor"
	"siaran/listing/firestore"
	"siaran/mediaport"
)

// doctorCommand takes the settings of serve and checks them instead of serving.
type doctorCommand struct {
	serverSettings

	URL   string `name:"url" placeholder:"URL"`
	Token string `placeholder:"TOKEN"`
	JSON  bool   `name:"json"`
}

// Validate checks the flags before anything else is checked.
func (d *doctorCommand) Validate() error {
	if d.URL == "" {
		return nil
	}
	if _, err := doctor.ParseURL(d.URL); err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	return nil
}

// Run prints each finding and fails if a check has failed.
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
		return errors.New("interrupted before all checks were done")
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

// machine converts the settings to those of package doctor.
func (d doctorCommand) machine() doctor.MachineConfig {
	cfg, err := d.Config.Checked()
	m := doctor.MachineConfig{Problems: err, Data: cfg.Data, MaxViewers: cfg.MaxViewers, MaxBroadcasts: cfg.MaxBroadcasts}
	if err != nil {
		return m
	}
	m.UDP, m.PublicIP, m.ACME = cfg.UDP, cfg.PublicIP, cfg.ACME
	m.Socket = mediaport.Options{Public: cfg.PublicIP, Interfaces: cfg.Announces, DSCP: cfg.DSCP}
	m.Ports = portsOf(cfg)
	if host, err := server.ParseSTUN(cfg.Discover); err == nil {
		m.STUN, m.Discover = append(m.STUN, host), true
	}
	for _, text := range cfg.ICEServer {
		if host, err := server.ParseSTUN(text); err == nil {
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
	if cfg.Parent != "" {
		m.Parent = parentOf(cfg)
	}
	if m.Emulators = server.Emulators(); cfg.Listing == "firestore" {
		m.Firestore = func(ctx context.Context) (*firestore.Listing, error) {
			return cfg.OpenFirestore(ctx, firestore.Config{Presence: firestore.PresenceOff})
		}
	}
	if cfg.AuthFirebase {
		m.Accounts = cfg.CheckAccounts
	}
	switch {
	case (m.Firestore != nil || cfg.AuthFirebase) && len(m.Emulators) == 0:
		m.Reference = "https://firestore.googleapis.com/"
	case len(cfg.ACME) > 0:
		m.Reference = cmp.Or(cfg.ACMECA, "https://acme-v02.api.letsencrypt.org/directory")
	}
	return m
}

// parentOf returns how the server reaches its parent.
func parentOf(cfg server.Config) *doctor.ParentConfig {
	u, err := doctor.ParseURL(cfg.Parent)
	if err != nil {
		return nil // the check of the configuration has found it
	}
	p := &doctor.ParentConfig{URL: u, Node: cfg.Node}
	if len(cfg.SecretFile) > 0 {
		p.Token = func(name siaran.StreamName) (string, error) {
			secret, err := cfg.OpenSecret()
			if err != nil {
				return "", err
			}
			return secret.MintRelay(name, cfg.Node)
		}
	}
	return p
}

// portsOf returns the ports that a server opens.
func portsOf(cfg server.Config) []doctor.Port {
	turnOptional, turnsOptional := cfg.OptionalRelayPorts()
	ports := []doctor.Port{
		{Name: "port-http", Network: "tcp", Address: cfg.Listen, Flag: "--listen", HTTP: true, TLS: cfg.TLSConfig.HTTPS()},
		{Name: "port-redirect", Network: "tcp", Address: cfg.Redirect, Flag: "--redirect"},
		{Name: "port-media", Network: "udp", Address: cfg.UDP, Flag: "--udp"},
		{Name: "port-media-tcp", Network: "tcp", Address: *cfg.TCP, Flag: "--tcp"},
		{Name: "port-turn-udp", Network: "udp", Address: *cfg.TURN, Flag: "--turn", Spare: turnOptional},
		{Name: "port-turn-tcp", Network: "tcp", Address: *cfg.TURN, Flag: "--turn", Spare: turnOptional},
		{Name: "port-turn-tls", Network: "tcp", Address: *cfg.TURNS, Flag: "--turns", Spare: turnsOptional},
	}
	return slices.DeleteFunc(ports, func(p doctor.Port) bool { return p.Address == "" })
}
