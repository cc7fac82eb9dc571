package doctor

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"siaran/egress"
	"siaran/listing"
)

// MachineConfig is a server's configuration, as far as it can be checked on its machine.
type MachineConfig struct {
	Problems error // what the configuration's own check says
	Data     string
	Ports    []Port
	UDP      string               // media address
	Socket   egress.SocketOptions // as the server opens it

	PublicIP []netip.Addr
	STUN     []string // servers that tell how we are seen, host:port
	Discover bool     // what they tell is announced

	Certificates []KeyPair
	Hosts        []string // that clients use: the certificates must be good for them
	ACME         []string // domains that certificates are got for

	MaxViewers, MaxBroadcasts int

	Firestore func(context.Context) (*listing.Firestore, error) // opens it; nil: the listing is in the data folder
	Accounts  func(context.Context) error                       // asks Firebase Authentication; nil: it is not used
	Reference string                                            // URL of a server whose clock matters; may be empty
	Emulators []string                                          // variables that make emulators be used, as --dev allows

	Resolver *net.Resolver // nil for the system's
}

// KeyPair names the files of a certificate and its key.
type KeyPair struct{ Certificate, Key string }

// Machine checks the machine that it runs on, and tells each finding as it comes. Nothing is changed.
func Machine(ctx context.Context, cfg MachineConfig, tell func(Check)) *Report {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	f := newFindings(tell)
	f.add(checkProblems(cfg.Problems)...)
	if cfg.Problems != nil {
		return &f.report
	}
	r := findRunning(ctx, cfg.Data, cfg.Ports)
	f.add(checkData(cfg.Data, r)...)
	for _, p := range cfg.Ports {
		f.add(checkPort(ctx, p, r))
	}
	facts, system := lookAround(ctx, cfg)
	f.add(checkAnnounced(facts))
	f.add(checkPublic(facts)...)
	for _, pair := range cfg.Certificates {
		f.add(certificateCheck{name: "certificate", hosts: cfg.Hosts, now: time.Now()}.checkFiles(pair.Certificate, pair.Key)...)
	}
	for _, domain := range cfg.ACME {
		f.add(checkDomain(ctx, cfg.Resolver, domain, facts, r)...)
	}
	f.add(checkOwnClock(ctx, cfg.Reference, http.DefaultClient))
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

// lookAround opens a media port, another one when that is in use, for what only an open one can tell.
func lookAround(ctx context.Context, cfg MachineConfig) (addressFacts, *egress.System) {
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
	s, err := egress.Listen(cfg.UDP, cfg.Socket)
	if err != nil {
		s, err = egress.Listen(net.JoinHostPort(host, "0"), cfg.Socket)
	}
	if err != nil {
		return facts, nil // what is wrong with the address is told of the port
	}
	defer s.Close() // was only asked
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
