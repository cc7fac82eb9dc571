package main

import "testing"

func init() {
	for _, transport := range []string{"udp", "tcp"} {
		insideParts["Chromium through the relay over "+transport] = func(t *testing.T, s *testServer) {
			watch := startBrowser(t).open(s.URL + "/watch/demo")
			watch.waitMedia()
			if got := eval[string](watch, relayProtocol); got != "relay "+transport {
				t.Errorf("Chromium comes by %s", got)
			}
		}
	}
}

// TestRelayOverIPv6: neither side has an IPv4 address, which most relays would need. The firewall lets out UDP to the relay
// alone, or TCP alone.
func TestRelayOverIPv6(t *testing.T) {
	newLab(t) // or it is skipped
	for transport, barred := range map[string]string{"udp": `udp dport != 3478 drop; oifname "eth0" tcp dport 3478`, "tcp": "meta l4proto udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			server, office := l.host("server"), l.host("office")
			server.wire("eth0", "2001:db8:1::1/64", office, "eth0", "2001:db8:1::2/64")
			office.firewall(`
				table inet office {
					chain out { type filter hook output priority filter; oifname "eth0" ` + barred + ` drop; }
				}`)
			office.inside("Chromium through the relay over "+transport, server.serve("--demo", "--listen=[2001:db8:1::1]:8080"))
		})
	}
}
