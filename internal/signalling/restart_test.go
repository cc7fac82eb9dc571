package signalling

import (
	"strings"
	"testing"
)

const (
	described = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0 1\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:olduser\r\na=ice-pwd:oldpasswordoldpassword\r\n" +
		"a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ice-ufrag:olduser\r\na=ice-pwd:oldpasswordoldpassword\r\n"
	answered = "a=ice-lite\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=ice-ufrag:newuser\r\n" +
		"a=ice-pwd:newpasswordnewpassword\r\na=candidate:1 1 udp 1 192.0.2.2 9 typ host\r\na=end-of-candidates\r\n"
)

func TestRenewed(t *testing.T) {
	got, err := renewed(described, []byte(answered))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, "old") || strings.Contains(got, "192.0.2.1") ||
		strings.Count(got, "a=ice-ufrag:newuser\r\na=ice-pwd:newpasswordnewpassword\r\n") != 2 ||
		strings.Count(got, "192.0.2.2") != 1 || strings.Index(got, "192.0.2.2") > strings.Index(got, "m=video") {
		t.Error(got)
	}
	if _, err := renewed(described, []byte("a=ice-lite\r\n")); err == nil {
		t.Error("a fragment without credentials is taken")
	}
}

func FuzzRenewed(f *testing.F) {
	f.Add(described, []byte(answered))
	f.Fuzz(func(_ *testing.T, description string, fragment []byte) {
		_, _ = renewed(description, fragment)
		_, _ = fragmentOf(description)
	})
}
