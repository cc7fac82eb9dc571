package main

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/internal/demo"
	"siaran/cmd/siaran/internal/whip"
	"siaran/web/access"
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

// TestPublishThroughRelay: where neither UDP nor the server's TCP port can be reached, the second attempt takes the relay.
func TestPublishThroughRelay(t *testing.T) {
	s := startServer(t, func(c *Config) { none := ""; c.TCP = &none })
	media, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cfg := whip.Config{URL: s.whip(cats), Token: s.token(t, "cats", access.Publish)}
	withoutUDPOut(t)(&cfg)
	ended := make(chan error, 1)
	go func() { ended <- publishClip(ctx, cfg, media, true, true, slog.New(slog.DiscardHandler)) }()
	eventuallyWithin(t, 2*time.Minute, "live", func() bool { return s.stream(t, cats).Status == "live" }) // ICE gives up the direct ways after 15 s
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPublishWithoutAnyWay says why, and gives up when it is told to try once.
func TestPublishWithoutAnyWay(t *testing.T) {
	s := startServer(t, func(c *Config) { none := ""; c.TCP, c.TURN = &none, &none })
	media, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	cfg := whip.Config{URL: s.whip(cats), Token: s.token(t, "cats", access.Publish)}
	withoutUDPOut(t)(&cfg)
	err = publishClip(t.Context(), cfg, media, true, true, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "no media gets through") || !strings.Contains(err.Error(), "names no relay") {
		t.Error(err)
	}
}
