package ingest

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"siaran/internal/testutil"

	"github.com/pion/webrtc/v3"
)

func certificateUntil(t *testing.T, end time.Time) *tls.Certificate {
	t.Helper()
	return testutil.CertificateBetween(t, end.Add(-time.Hour), end)
}

// TestCertificateIsReplaced: a broadcaster that was answered with the old certificate is also shown that one, and
// those that come later the new one. One that has expired is refused, and the one in use stays.
func TestCertificateIsReplaced(t *testing.T) {
	s := start(t, func(c *Config) { c.Certificate = certificateUntil(t, time.Now().Add(time.Minute)) })
	fingerprint := func(b *broadcaster) string {
		_, after, _ := strings.Cut(string(b.answer.SDP), "a=fingerprint:")
		line, _, _ := strings.Cut(after, "\r\n")
		return line
	}
	between := publish(t, s, "between", clientOptions{video: webrtc.MimeTypeVP8, answer: func(answer string) string {
		if err := s.UseCertificate(certificateUntil(t, time.Now().Add(time.Hour))); err != nil {
			t.Error(err)
		}
		return answer
	}})
	if err := s.UseCertificate(certificateUntil(t, time.Now().Add(-time.Second))); err == nil {
		t.Error("one that has expired is taken")
	}
	after := publish(t, s, "after", clientOptions{video: webrtc.MimeTypeVP8})
	if a, b := fingerprint(between), fingerprint(after); a == b || a == "" || b == "" {
		t.Errorf("%q, then %q", a, b)
	}
	if h, ok := s.Health("between"); !ok || !h.Connected {
		t.Error("a session has ended with its certificate")
	}
}
