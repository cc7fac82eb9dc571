package doctor

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"siaran/listing/firestore"
	"siaran/mediaport"
)

// MachineConfig is the part of a server's configuration that can be checked on its machine.
type MachineConfig struct {
	Problems error // of the configuration's own check
	Data     string
	Ports    []Port
	UDP      string            // media address
	Socket   mediaport.Options // as the server opens it

	PublicIP []netip.Addr
	STUN     []string // servers that report our public address, host:port
	Discover bool     // what they report is announced

	Certificates []KeyPair
	Hosts        []string // that clients use: the certificates must be valid for them
	ACME         []string // domains to get certificates for

	MaxViewers, MaxBroadcasts int

	// Firestore opens the listing; nil: it is in the data folder.
	Firestore func(context.Context) (*firestore.Listing, error)
	// Accounts asks Firebase Authentication; nil: it is not used.
	Accounts  func(context.Context) error
	Reference string   // URL of a web server to compare the clock with; may be empty
	Emulators []string // environment variables that select emulators, as --dev allows

	Parent *ParentConfig // nil: the server pulls from no other

	Resolver *net.Resolver // nil: the system's
}

// KeyPair names the files of a certificate and its key.
type KeyPair struct{ Certificate, Key string }

// Machine checks the machine that it runs on, and reports each finding as it comes. It changes nothing.
func Machine(ctx context.Context, cfg MachineConfig, report func(Check)) *Report {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	f := newFindings(report)
	f.add(checkProblems(cfg.Problems)...)
	if cfg.Problems != nil {
		return &f.report
	}
	r := findRunning(ctx, cfg.Data, cfg.Ports)
	f.add(checkData(cfg.Data, r)...)
	for _, p := range cfg.Ports {
		f.add(checkPort(ctx, p, r))
	}
	facts, system := inspectSocket(ctx, cfg)
	f.add(checkAnnounced(facts))
	f.add(checkPublic(facts)...)
	for _, pair := range cfg.Certificates {
		f.add(certificateCheck{name: "certificate", hosts: cfg.Hosts, now: time.Now()}.checkFiles(pair.Certificate,
			pair.Key)...)
	}
	for _, domain := range cfg.ACME {
		f.add(checkDomain(ctx, cfg.Resolver, domain, facts, r)...)
	}
	f.add(checkOwnClock(ctx, cfg.Reference, http.DefaultClient))
	if cfg.Parent != nil {
		checkWayToParent(ctx, cfg.Resolver, *cfg.Parent, func(c Check) { f.add(c) })
	}
	f.add(checkEmulators(cfg.Emulators, facts.loopback)...)
	if cfg.Firestore != nil {
		f.add(checkFirestore(ctx, cfg.Firestore)...)
	}
	if cfg.Accounts != nil {
		f.add(checkAccounts(ctx, cfg.Accounts))
	}
	limit, known := openFiles()
	f.add(checkFiles(limit, known, cfg.MaxViewers, cfg.MaxBroadcasts))
	if system != nil {
		f.add(checkSystem(*system, cfg.MaxViewers)...)
	}
	limit, known = memory()
	f.add(checkMemory(limit, known, cfg.MaxViewers))
	return &f.report
}

// inspectSocket opens the media port, or another one if it is in use, to learn what only an open port shows.
func inspectSocket(ctx context.Context, cfg MachineConfig) (addressFacts, *mediaport.System) {
	facts := addressFacts{public: cfg.PublicIP, interfaces: interfaceAddresses(), asked: len(cfg.STUN) > 0}
	if len(cfg.STUN) > 0 {
		facts.mapped = mappedAddresses(ctx, cfg.STUN)
	}
	host, _, err := net.SplitHostPort(cfg.UDP)
	if err != nil {
		return facts, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		facts.loopback = ip.IsLoopback()
	}
	s, err := mediaport.Open(cfg.UDP, cfg.Socket)
	if err != nil {
		s, err = mediaport.Open(net.JoinHostPort(host, "0"), cfg.Socket)
	}
	if err != nil {
		return facts, nil // the check of the port reports what is wrong
	}
	defer func() { _ = s.Close() }() // nothing was sent
	if cfg.Discover {
		facts.announced = append(facts.announced, facts.mapped...)
	}
	for _, a := range s.Addresses() {
		if !slices.Contains(facts.announced, a.Addr()) {
			facts.announced = append(facts.announced, a.Addr())
		}
	}
	system := s.System()
	return facts, &system
}
