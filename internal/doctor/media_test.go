package doctor

import (
	"net/netip"
	"slices"
	"testing"
)

const someAnswer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 " +
	"0.0.0.0\r\n" +
	"a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host\r\na=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ " +
	"host\r\n" +
	"a=candidate:2 1 tcp 1671430143 192.0.2.1 8189 typ host tcptype passive\r\na=candidate:3 1 udp 1 2001:db8::1 8189 " +
	"typ host\r\na=candidate:junk\r\n"

func TestCandidates(t *testing.T) {
	one, two := netip.MustParseAddrPort("192.0.2.1:8189"), netip.MustParseAddrPort("[2001:db8::1]:8189")
	if got := candidatesIn(someAnswer, "udp"); !slices.Equal(got, []netip.AddrPort{one, two}) {
		t.Errorf("%v", got)
	}
	if got := candidatesIn(someAnswer, "tcp"); !slices.Equal(got, []netip.AddrPort{one}) {
		t.Errorf("%v", got)
	}
}

// FuzzCandidates: answers come from servers of any kind, and so do their words.
func FuzzCandidates(f *testing.F) {
	f.Add(someAnswer)
	f.Add("v=0\na=candidate:1 1 udp 1 host.local 1 typ host")
	f.Add(`{"title":"x","detail":"\u001b[31m"}`)
	f.Fuzz(func(t *testing.T, answer string) {
		if got := candidatesIn(answer, "udp"); len(got) > maxAnnounced {
			t.Errorf("%d", len(got))
		}
		if words := detail([]byte(answer)); len(words) > 202 {
			t.Errorf("%q", words)
		}
	})
}
