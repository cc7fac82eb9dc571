package sdp

import (
	"net/netip"
	"strings"
	"testing"

	"siaran"
)

func TestAnswerLines(t *testing.T) {
	offer, err := ParseOffer([]byte(offerWith("a=group:BUNDLE 0\r\n", testTransport+testVideo+
		"a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-rsize\r\n"+
		"m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:111 opus/48000/2\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	a := NewAnswer(offer, 2)
	a.Attribute("group", "BUNDLE 0")
	s := a.Accept(&offer.Sections[0])
	s.At(netip.MustParseAddrPort("[2001:db8::1]:8189"))
	s.Extension(Extension{ID: 3, URI: "urn:x", Direction: SendOnly})
	s.Direction(RecvOnly)
	codec := OfferedCodec{PayloadType: 96, Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RTX: 97}
	s.Codec(&codec, "max-fs=1", []string{"nack"}, true)
	s.Transport(Transport{Ufrag: "u", Password: "p", Fingerprint: Fingerprint{"sha-256", "AA"}, Setup: "active"})
	s.Candidates([]netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:8189"), netip.MustParseAddrPort("[fe80::1%eth0]:8189"),
	}, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443")})
	a.Refuse(&offer.Sections[1])
	text, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := `v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=video 8189 UDP/TLS/RTP/SAVPF 96 97
c=IN IP6 2001:db8::1
a=extmap:3/recvonly urn:x
a=recvonly
a=rtcp-mux
a=rtcp-mux-only
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=fmtp:96 max-fs=1
a=rtcp-fb:96 nack
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=ice-ufrag:u
a=ice-pwd:p
a=fingerprint:sha-256 AA
a=setup:active
a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host
a=candidate:2 1 udp 2130706175 fe80::1 8189 typ host
a=candidate:3 1 tcp 1520435199 192.0.2.1 443 typ host tcptype passive
a=end-of-candidates
m=audio 0 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:1
a=rtpmap:111 opus/48000/2
a=inactive
`
	if got := strings.ReplaceAll(string(text), "\r\n", "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
