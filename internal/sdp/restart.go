package sdp

import (
	"fmt"
	"net/netip"
	"strings"

	"siaran"
)

// ICEOptions is the value of a=ice-options in what we answer (RFC 8840 section 4.1, RFC 8445 section 10).
const ICEOptions = "trickle ice2"

// RestartAnswer is the fragment that answers an ICE restart (RFC 9725 section 4.3.3). It repeats what the answer to the
// offer says of ICE, with new credentials.
type RestartAnswer struct {
	Lite   bool
	Bundle []string    // the mids of the bundle; empty if the answer has no group
	Kind   siaran.Kind // of the section that has the transport of the bundle
	Mid    string      // of the same; empty if it has none

	Ufrag, Password string
	UDP, TCP        []netip.AddrPort // as for [AnswerSection.Candidates]
}

// Marshal returns the text, with CRLF line ends.
func (r RestartAnswer) Marshal() []byte {
	var b strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&b, format+"\r\n", values...) }
	if r.Lite {
		line("a=ice-lite")
	}
	line("a=ice-options:%s", ICEOptions)
	if len(r.Bundle) > 0 {
		line("a=group:BUNDLE %s", strings.Join(r.Bundle, " "))
	}
	line("m=%s 9 UDP/TLS/RTP/SAVPF 0", r.Kind)
	if r.Mid != "" {
		line("a=mid:%s", r.Mid)
	}
	line("a=ice-ufrag:%s", r.Ufrag)
	line("a=ice-pwd:%s", r.Password)
	for _, c := range candidateLines(r.UDP, r.TCP) {
		line("a=candidate:%s", c)
	}
	line("a=end-of-candidates")
	return []byte(b.String())
}
