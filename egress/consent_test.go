package egress

import (
	"net/netip"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"

	"siaran"
	"siaran/internal/codec"
)

// reportingViewer is a viewer whose reports are sealed by the context that it comes with.
func reportingViewer(t *testing.T) (*viewer, *worker, *srtp.Context) {
	t.Helper()
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	t.Cleanup(func() { hub.Close() })
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	l := testLink(socket, "r", viewerPassword)
	l.in = sealer(t, srtp.ProtectionProfileAeadAes128Gcm)
	layers := pub.Broadcast().Video().Layers
	v := newViewer(l, []plan{{Kind: siaran.KindVideo, ClockRate: 90000, Layers: layers, SSRC: 9}}, nil)
	return v, newWorker(socket, 0, defaultBurst, new(drops)), sealer(t, srtp.ProtectionProfileAeadAes128Gcm)
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
	v, w, out := reportingViewer(t)
	l, now := v.link, time.Now()
	here := proveAt(l, netip.MustParseAddrPort("127.0.0.1:1001"))
	there := proveAt(l, netip.MustParseAddrPort("127.0.0.1:1002"))
	l.mu.Lock()
	unproven := l.addSource(l.credentials, netip.MustParseAddrPort("127.0.0.1:1003"), netip.Addr{})
	l.mu.Unlock()

	forged := sealedReport(t, sealer(t, srtp.ProtectionProfileAeadAes128Gcm), 1)
	forged[len(forged)-6] ^= 1
	v.handleRTCP(w, here, forged, now)
	if l.selected.Load() != there {
		t.Error("a forged report moved the media")
	}
	v.handleRTCP(w, unproven, sealedReport(t, out, 1), now)
	if l.selected.Load() != there {
		t.Error("a report moved the media to an address that has proven nothing")
	}
	report := sealedReport(t, out, 1)
	v.handleRTCP(w, here, report, now)
	if l.selected.Load() != here {
		t.Error("a report did not move the media")
	}
	v.handleRTCP(w, there, report, now)
	if l.selected.Load() != here {
		t.Error("a report that came again moved the media")
	}

	v.handleRTCP(w, here, sealedReport(t, out, 1), now.Add(consentTime-time.Second))
	if l.consented(now.Add(consentTime + time.Second)) {
		t.Error("a report was taken for consent")
	}
}

// State is kept for a few SSRCs, and for none that only a forged report names.
func TestReportsOfManySources(t *testing.T) {
	v, w, out := reportingViewer(t)
	here := proveAt(v.link, netip.MustParseAddrPort("127.0.0.1:1001"))
	for ssrc := range uint32(10 * maxReportSources) {
		forged := sealedReport(t, out, 1000+ssrc)
		forged[len(forged)-6] ^= 1
		v.handleRTCP(w, here, forged, time.Now())
	}
	if n := len(v.link.known); n != 0 {
		t.Fatalf("%d sources are known from forged reports", n)
	}
	for ssrc := range uint32(10 * maxReportSources) {
		v.handleRTCP(w, here, sealedReport(t, out, ssrc), time.Now())
	}
	if n := len(v.link.known); n != maxReportSources {
		t.Errorf("%d sources are known, want %d", n, maxReportSources)
	}
	refused := w.stats.refused.Load()
	v.handleRTCP(w, here, sealedReport(t, out, 0), time.Now())
	if w.stats.refused.Load() != refused {
		t.Error("a known source is refused")
	}
}
