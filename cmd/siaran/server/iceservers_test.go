package server_test

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// TestAnnouncedServers: the relay's URLs are in the order UDP, TCP, TLS, and have one credential.
func TestAnnouncedServers(t *testing.T) {
	s := harness.Start(t, func(c *server.Config) {
		c.ICEServer = []string{"stun:stun.example.org", "turn:u:p@turn.example.org", "turn:other.example.org"}
		c.ICESecret = "shared"
	})
	list := s.ICEServers(t)
	if len(list) != 4 {
		t.Fatalf("%+v", list)
	}
	var order []string
	for _, u := range list[0].URLs {
		scheme, rest, _ := strings.Cut(u, ":")
		address, query, _ := strings.Cut(rest, "?")
		host, _, err := net.SplitHostPort(address)
		if err != nil || host != "127.0.0.1" {
			t.Errorf("%s: %v", u, err)
		}
		order = append(order, scheme+" "+query)
	}
	if want := []string{"turn transport=udp", "turn transport=tcp"}; !reflect.DeepEqual(order, want) {
		t.Errorf("%v", order)
	}
	if list[2].Username != "u" || list[2].Credential != "p" || !strings.Contains(list[3].Username, ":") ||
		list[3].Credential == "" {
		t.Errorf("%+v", list[1:])
	}
}

func TestNoRelay(t *testing.T) {
	s := harness.Start(t, func(c *server.Config) { none := ""; c.TURN = &none })
	if list := s.ICEServers(t); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestRelayBesideAProxy: what answers at the public address of HTTPS then knows nothing of TURN.
func TestRelayBesideAProxy(t *testing.T) {
	s := harness.StartSecure(t,
		func(c *server.Config) { c.TrustedProxy = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	_, port, _ := net.SplitHostPort(s.Address())
	servers := harness.Matching(s.ICEServers(t), "turns:")
	if len(servers) != 1 || strings.Contains(servers[0].URLs[0], ":"+port+"?") {
		t.Errorf("%v, HTTPS is at %s", servers, port)
	}
}
