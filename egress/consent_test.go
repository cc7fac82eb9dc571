package egress

import (
	"net/netip"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
)

// reportingLink is a link whose viewer's reports are sealed by the context that it comes with.
func reportingLink(t *testing.T) (*link, *srtp.Context) {
	t.Helper()
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	l := testLink(socket, "r", viewerPassword)
	l.in.use(sealer(t, srtp.ProtectionProfileAeadAes128Gcm))
	return l, sealer(t, srtp.ProtectionProfileAeadAes128Gcm)
}

// from takes a report as if it came from a source.
func (l *link) from(s *source, report []byte, now time.Time) {
	l.handleRTCP(report, s.path.Address(), s.path.Local(), now)
}

func sealedReport(t *testing.T, c *srtp.Context, ssrc uint32) []byte {
	t.Helper()
	plain, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: ssrc}})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.EncryptRTCP(nil, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// Reports are no consent: a viewer can send them from anywhere. They show by which of its proven paths it sends.
func TestReportsShowThePath(t *testing.T) {
	l, out := reportingLink(t)
	now := time.Now()
	here := proveAt(l, netip.MustParseAddrPort("127.0.0.1:1001"))
	there := proveAt(l, netip.MustParseAddrPort("127.0.0.1:1002"))
	l.mu.Lock()
	unproven := l.addSource(l.credentials, netip.MustParseAddrPort("127.0.0.1:1003"), netip.Addr{})
	l.mu.Unlock()

	forged := sealedReport(t, sealer(t, srtp.ProtectionProfileAeadAes128Gcm), 1)
	forged[len(forged)-6] ^= 1
	l.from(here, forged, now)
	if l.selected.Load() != there {
		t.Error("a forged report moved the media")
	}
	l.from(unproven, sealedReport(t, out, 1), now)
	if l.selected.Load() != there {
		t.Error("a report moved the media to an address that has proven nothing")
	}
	report := sealedReport(t, out, 1)
	l.from(here, report, now)
	if l.selected.Load() != here {
		t.Error("a report did not move the media")
	}
	l.from(there, report, now)
	if l.selected.Load() != here {
		t.Error("a report that came again moved the media")
	}

	l.from(here, sealedReport(t, out, 1), now.Add(consentTime-time.Second))
	if l.consented(now.Add(consentTime + time.Second)) {
		t.Error("a report was taken for consent")
	}
}

// State is kept for a few SSRCs, and for none that only a forged report names.
func TestReportsOfManySources(t *testing.T) {
	l, out := reportingLink(t)
	here := proveAt(l, netip.MustParseAddrPort("127.0.0.1:1001"))
	for ssrc := range uint32(10 * maxReportSources) {
		forged := sealedReport(t, out, 1000+ssrc)
		forged[len(forged)-6] ^= 1
		l.from(here, forged, time.Now())
	}
	if n := len(l.in.known); n != 0 {
		t.Fatalf("%d sources are known from forged reports", n)
	}
	for ssrc := range uint32(10 * maxReportSources) {
		l.from(here, sealedReport(t, out, ssrc), time.Now())
	}
	if n := len(l.in.known); n != maxReportSources {
		t.Errorf("%d sources are known, want %d", n, maxReportSources)
	}
	refused := l.drops.forged.Load()
	l.from(here, sealedReport(t, out, 0), time.Now())
	if l.drops.forged.Load() != refused {
		t.Error("a known source is refused")
	}
}

// What strangers send from a viewer's address uses up nothing of what the viewer may send.
func TestForgedReportsStarveNobody(t *testing.T) {
	l, out := reportingLink(t)
	here := proveAt(l, netip.MustParseAddrPort("127.0.0.1:1001"))
	reports := 0
	ownerOf(l).onReport = func([]byte) { reports++ }
	now := time.Now()
	known := sealedReport(t, out, 1)
	l.from(here, known, now)
	for i := range 1000 {
		forged := sealedReport(t, sealer(t, srtp.ProtectionProfileAeadAes128Gcm), uint32(i%3)) // also of its SSRC
		forged[len(forged)-6] ^= 1
		l.from(here, forged, now)
		l.from(here, known, now) // captured
		l.from(here, known[:i%len(known)], now)
	}
	l.from(here, sealedReport(t, out, 1), now)
	if reports != 2 {
		t.Errorf("%d reports of the viewer were taken, want both", reports)
	}
	for range 1000 {
		l.from(here, sealedReport(t, out, 1), now)
	}
	if reports > 2*reportsBurst {
		t.Errorf("%d genuine reports were taken at once", reports)
	}
}

func BenchmarkForgedReport(b *testing.B) {
	var in inbound
	in.use(sealer(b, srtp.ProtectionProfileAeadAes128Gcm))
	plain, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1, Reports: make([]rtcp.ReceptionReport, 1)}})
	if err != nil {
		b.Fatal(err)
	}
	forged, err := sealer(b, srtp.ProtectionProfileAeadAes128Gcm).EncryptRTCP(nil, plain, nil)
	if err != nil {
		b.Fatal(err)
	}
	forged[len(forged)-6] ^= 1
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.open(forged); err == nil {
			b.Fatal("believed")
		}
	}
}
