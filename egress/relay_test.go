package egress

import (
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"

	"siaran/mediaport"
)

// keptRelay keeps what it gets.
type keptRelay struct {
	mu       sync.Mutex
	sent     []keptRun
	released []netip.AddrPort
}

type keptRun struct {
	datagrams [][]byte
	to        netip.AddrPort
}

func (r *keptRelay) Send(b []byte, size int, to netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var run [][]byte
	for len(b) > 0 {
		n := min(size, len(b))
		run = append(run, slices.Clone(b[:n]))
		b = b[n:]
	}
	r.sent = append(r.sent, keptRun{run, to})
}

func (r *keptRelay) Release(a netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released = append(r.released, a)
}

func (r *keptRelay) Relayed(a netip.AddrPort) netip.AddrPort {
	if a != relayedClient {
		return netip.AddrPort{}
	}
	return toldAddress
}

var (
	toldAddress   = netip.MustParseAddrPort("203.0.113.9:50000")
	relayedClient = netip.MustParseAddrPort("[100::1234]:1")
	otherClient   = netip.MustParseAddrPort("[100::5678]:1")
)

func rightCheck(t testing.TB, l *link) []byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(l.ufrag+":"+l.remoteUfrag),
		setAttribute(controlling), setAttribute(useCandidate), stun.NewShortTermIntegrity(l.pwd), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func TestRelayedClient(t *testing.T) {
	s, l, found := checkStage(t)
	relay := new(keptRelay)
	s.Join(relay)
	s.Receive(rightCheck(t, l), netip.MustParseAddrPort("192.0.2.1:5000")) // not from where a relay's clients are
	s.Receive(nil, relayedClient)
	s.Receive(make([]byte, mediaport.MaxDatagram+1), relayedClient)
	if *found != 0 || len(relay.sent) != 0 {
		t.Fatal("something is taken that is no client's")
	}
	s.Receive(rightCheck(t, l), relayedClient)
	if *found != 1 || len(relay.sent) != 1 || relay.sent[0].to != relayedClient {
		t.Fatalf("%d found, %+v", *found, relay.sent)
	}
	answer := &stun.Message{Raw: relay.sent[0].datagrams[0]}
	if err := answer.Decode(); err != nil || answer.Type != stun.BindingSuccess {
		t.Fatalf("%v: %v", answer, err)
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(answer); err != nil || mapped.String() != toldAddress.String() {
		t.Errorf("the client is told to be %s: %v", mapped, err) // a browser would not know its own candidate by another
	}
	reports := 0
	ownerOf(l).onReport = func([]byte) { reports++ }
	l.in.use(sealer(t, srtp.ProtectionProfileAeadAes128Gcm))
	report := sealedReport(t, sealer(t, srtp.ProtectionProfileAeadAes128Gcm), 1)
	s.Receive(report, otherClient) // somebody else's
	s.Receive(report, relayedClient)
	if reports != 1 {
		t.Errorf("%d reports", reports)
	}
	if to := l.selected.Load().path; !to.Relayed() || to.Address() != relayedClient {
		t.Errorf("%+v", to)
	}
	l.close()
	if !slices.Equal(relay.released, []netip.AddrPort{relayedClient}) {
		t.Errorf("released %v", relay.released)
	}
}
