package harness

import (
	"net"
	"net/netip"

	"github.com/pion/stun"
)

// AnswerSTUN tells all who ask where they are, or, given an address, that they are there; until conn is closed.
func AnswerSTUN(conn *net.UDPConn, lie netip.Addr) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		seen := from.IP
		if lie.IsValid() {
			seen = lie.AsSlice()
		}
		m := &stun.Message{Raw: buf[:n]}
		if m.Decode() != nil {
			continue
		}
		if answer, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: seen, Port: from.Port}); err == nil {
			_, _ = conn.WriteToUDP(answer.Raw, from) // the client may be gone
		}
	}
}
