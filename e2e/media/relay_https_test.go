package media

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
	"siaran/internal/whep"
	"siaran/web/access"
)

// tlsDialer makes the connection that a relay's turns: address asks for, believing in the test's authority alone.
type tlsDialer struct{ *tls.Config }

func (d tlsDialer) Dial(network, address string) (net.Conn, error) {
	return tls.Dial(network, address, d.Config)
}

// TestRelayOnThePortOfHTTPS has a viewer who can reach nothing else of the server, while others speak HTTP there.
func TestRelayOnThePortOfHTTPS(t *testing.T) {
	t.Parallel()
	for _, protocols := range [][]string{nil, {"http/1.1"}, {"stun.turn"}} {
		t.Run(fmt.Sprint(protocols), func(t *testing.T) {
			s := harness.StartSecure(t)
			servers := harness.Matching(s.ICEServers(t), "turns:")
			_, port, _ := net.SplitHostPort(s.Address())
			if len(servers) != 1 || servers[0].URLs[0] != "turns:localhost:"+port+"?transport=tcp" {
				t.Fatalf("%v, want port %s", servers, port)
			}
			b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
			b.WaitSent(3)
			v := s.Watch(t, harness.Cats, harness.RelayOnly(servers), func(c *whep.Config) {
				c.Setting = func(e *webrtc.SettingEngine) {
					e.SetICEProxyDialer(tlsDialer{&tls.Config{RootCAs: s.CA.Pool(), NextProtos: protocols}})
				}
			})
			v.WaitFrame(b.Sent() + 50)
			if err := v.CheckContinuous(); err != nil {
				t.Error(err)
			}
			harness.Eventually(t, "the viewer is listed as relayed", func() bool {
				return s.Paths(t, harness.Cats) == "relayed"
			})
			first := s.CertificateSerial(t)
			s.RenewCertificate(t)
			s.Reload(t, func() bool { return s.CertificateSerial(t) != first })
			v.WaitFrame(b.Sent() + 10) // the old connection goes on
		})
	}
}
