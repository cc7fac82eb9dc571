package sdp

import (
	"fmt"
	"net/netip"
)

// Candidates adds all of our host candidates: UDP, then passive TCP, each list in order of preference. The order
// matters, because some clients use only the first one.
func (s *AnswerSection) Candidates(udp, tcp []netip.AddrPort) {
	for _, line := range candidateLines(udp, tcp) {
		s.Attribute("candidate", line)
	}
	s.Attribute("end-of-candidates", "")
}

func candidateLines(udp, tcp []netip.AddrPort) (lines []string) {
	for i, a := range udp {
		// A host candidate's type preference is 126; the local preference falls from one to the next, and the
		// last byte stands for component 1 (RFC 8445 section 5.1.2.1).
		priority := uint32(126)<<24 | uint32(65535-i)<<8 | 255
		lines = append(lines, candidateLine(i+1, "udp", priority, a))
	}
	for i, a := range tcp {
		// Below UDP: the type preference is 90, as in browsers; the direction preference of a passive host
		// candidate is 4 (RFC 6544 section 4.2).
		priority := uint32(90)<<24 | uint32(4<<13|(8191-i))<<8 | 255
		lines = append(lines, candidateLine(len(udp)+i+1, "tcp", priority, a)+" tcptype passive")
	}
	return lines
}

func candidateLine(foundation int, protocol string, priority uint32, a netip.AddrPort) string {
	address := a.Addr().Unmap().WithZone("")
	return fmt.Sprintf("%d 1 %s %d %s %d typ host", foundation, protocol, priority, address, a.Port())
}
