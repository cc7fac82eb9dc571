package media

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

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/demo"
	"siaran/internal/publish"
	"siaran/internal/whip"
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
	t.Parallel()
	s := harness.Start(t)
	harness.GoLive(t, s, withoutUDPOut(t)).WaitSent(10)
	harness.WaitTransport(t, s, "tcp")
}

func TestPublishPrefersUDP(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	harness.GoLive(t, s).WaitSent(10)
	harness.WaitTransport(t, s, "udp")
}

// TestPublishThroughRelay: where neither UDP nor the server's TCP port can be reached, the second attempt takes the
// relay.
func TestPublishThroughRelay(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { none := ""; c.TCP = &none })
	media, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cfg := whip.Config{URL: s.WHIP(harness.Cats), Token: s.Token(t, "cats", access.Publish)}
	withoutUDPOut(t)(&cfg)
	ended := make(chan error, 1)
	go func() {
		ended <- publish.Clip(ctx, cfg, media, publish.Options{Loop: true, Once: true}, slog.New(slog.DiscardHandler))
	}()
	harness.EventuallyWithin(t, 2*time.Minute, "live", func() bool {
		return s.Stream(t, harness.Cats).Status == "live"
	}) // ICE gives up the direct ways after 15 s
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPublishWithoutAnyWay says why, and gives up when it is told to try once.
func TestPublishWithoutAnyWay(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { none := ""; c.TCP, c.TURN = &none, &none })
	media, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	cfg := whip.Config{URL: s.WHIP(harness.Cats), Token: s.Token(t, "cats", access.Publish)}
	withoutUDPOut(t)(&cfg)
	err = publish.Clip(t.Context(), cfg, media, publish.Options{Loop: true, Once: true}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "no media gets through") ||
		!strings.Contains(err.Error(), "names no relay") {
		t.Error(err)
	}
}
