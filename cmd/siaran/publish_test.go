package main

import (
	"net"
	"testing"

	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/internal/whip"
)

// noUDP is a network that takes datagrams and delivers none.
type noUDP struct{ transport.Net }

func (n noUDP) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	return deafConn{conn}, err
}

func (n noUDP) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.Net.ListenPacket(network, address)
	return deafPacketConn{conn}, err
}

type deafConn struct{ transport.UDPConn }

func (deafConn) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

type deafPacketConn struct{ net.PacketConn }

func (deafPacketConn) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

// withoutUDPOut puts a broadcaster into such a network.
func withoutUDPOut(t *testing.T) func(*whip.Config) {
	t.Helper()
	plain, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	return func(c *whip.Config) {
		c.Setting = func(e *webrtc.SettingEngine) { e.SetNet(noUDP{plain}) }
	}
}

// TestPublishWithoutUDP: the client finds the server's TCP port by itself, and takes UDP where that goes through.
func TestPublishWithoutUDP(t *testing.T) {
	s := startServer(t)
	goLive(t, s, withoutUDPOut(t)).waitSent(10)
	checkWay(t, s, "tcp")
}

func TestPublishPrefersUDP(t *testing.T) {
	s := startServer(t)
	goLive(t, s).waitSent(10)
	checkWay(t, s, "udp")
}
