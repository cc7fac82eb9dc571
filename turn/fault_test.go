package turn

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
)

// TestPanicCostsOneDatagram makes the media's side panic over one datagram of a client.
func TestPanicCostsOneDatagram(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s := open(t, func(c *Config) {
				deliver := c.Deliver
				c.Deliver = func(b []byte, from netip.AddrPort) {
					if bytes.Contains(b, []byte("boom")) {
						panic("a fault of ours")
					}
					deliver(b, from)
				}
			})
			conn := s.allocated(transport, "a")
			if !echoes(t, conn, media, "before") {
				t.Fatal("nothing comes back")
			}
			for range 3 {
				if _, err := conn.WriteTo([]byte("boom"), net.UDPAddrFromAddrPort(media)); err != nil {
					t.Fatal(err)
				}
			}
			if !echoes(t, conn, media, "after") || !echoes(t, s.allocated("udp", "b"), media, "another") {
				t.Error("the relay does not go on")
			}
			if n := s.faults.Count(); n != 3 {
				t.Errorf("%d panics counted", n)
			}
		})
	}
}
