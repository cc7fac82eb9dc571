package netns

import (
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/e2e/harness/netlab"
)

func init() {
	for _, transport := range []string{"udp", "tcp"} {
		clients["Chromium through the relay over "+transport] = func(t *testing.T, s *harness.Server) {
			watch := chromium.Start(t).Open(s.URL + "/watch/demo")
			watch.WaitMedia()
			if got := chromium.Eval[string](watch, chromium.RelayProtocol); got != "relay "+transport {
				t.Errorf("Chromium comes by %s", got)
			}
		}
	}
}

// TestRelayOverIPv6: neither side has an IPv4 address, which most relays would need. The firewall lets out UDP to the
// relay alone, or TCP alone.
func TestRelayOverIPv6(t *testing.T) {
	t.Parallel()
	netlab.New(t) // or it is skipped
	for transport, barred := range map[string]string{"udp": `udp dport != 3478 drop; oifname "eth0" tcp dport 3478`,
		"tcp": "meta l4proto udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			l := netlab.New(t)
			server, office := l.Host("server"), l.Host("office")
			server.Connect("eth0", "2001:db8:1::1/64", office, "eth0", "2001:db8:1::2/64")
			office.Firewall(`
				table inet office {
					chain out { type filter hook output priority filter; oifname "eth0" ` + barred + ` drop; }
				}`)
			office.RunClient("Chromium through the relay over "+transport,
				server.Serve("--demo", "--listen=[2001:db8:1::1]:8080"))
		})
	}
}
