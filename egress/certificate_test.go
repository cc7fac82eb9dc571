package egress_test

import (
	"regexp"
	"testing"

	"siaran/internal/testutil"

	"github.com/pion/webrtc/v3"

	"siaran"
)

// TestCertificateIsReplaced: new viewers are shown the new certificate, and the others notice nothing.
func TestCertificateIsReplaced(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 3)
	stop := s.play(10, 3)
	defer stop()
	fingerprint := func(p *peer) string {
		return regexp.MustCompile(`a=fingerprint:.*`).FindString(p.pc.RemoteDescription().SDP)
	}
	old := watch(t, s, webrtc.SettingEngine{})
	old.waitState(webrtc.PeerConnectionStateConnected)
	for range 2 {
		s.server.UseCertificate(testutil.Certificate(t))
	}
	next := watch(t, s, webrtc.SettingEngine{})
	next.waitState(webrtc.PeerConnectionStateConnected)
	if a, b := fingerprint(old), fingerprint(next); a == b || a == "" || b == "" {
		t.Errorf("%q, then %q", a, b)
	}
	for len(old.video) > 0 { // what came before
		<-old.video
	}
	for range 20 {
		old.next(old.video)
		next.next(next.video)
	}
}
