package harness

import (
	"net"
	"strings"
	"testing"

	"github.com/pion/turn/v2"
	"github.com/pion/webrtc/v3"

	"siaran/internal/whep"
)

// Matching leaves only the URLs with something in them.
func Matching(list []webrtc.ICEServer, part string) []webrtc.ICEServer {
	var out []webrtc.ICEServer
	for _, i := range list {
		for _, u := range i.URLs {
			if strings.Contains(u, part) {
				out = append(out, webrtc.ICEServer{URLs: []string{u}, Username: i.Username, Credential: i.Credential})
			}
		}
	}
	return out
}

func RelayOnly(servers []webrtc.ICEServer) func(*whep.Config) {
	return func(c *whep.Config) { c.ICEServers, c.RelayOnly = servers, true }
}

// Allocate tries a credential of the relay at a UDP address.
func Allocate(t *testing.T, server, user, password string) error {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := turn.NewClient(&turn.ClientConfig{Conn: conn, STUNServerAddr: server, TURNServerAddr: server,
		Username: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		return err
	}
	return relayed.Close()
}
