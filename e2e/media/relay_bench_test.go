package media

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pion "github.com/pion/turn/v2"

	"siaran/e2e/harness"
	"siaran/mediaport"
	"siaran/turn"
)

// BenchmarkRelay is what the relay adds to a packet of 1200 bytes for a viewer by UDP, and what sending it costs,
// beside sending it to the viewer directly; in runs of so many packets. One operation is one packet. Nobody reads what
// is sent.
func BenchmarkRelay(b *testing.B) {
	for _, run := range []int{1, 4, 8} {
		packets := make([]byte, run*1200)
		b.Run(fmt.Sprintf("direct/run=%d", run), func(b *testing.B) {
			port, err := mediaport.Listen("127.0.0.1:0", func([]byte, netip.AddrPort, netip.Addr) {})
			if err != nil {
				b.Fatal(err)
			}
			defer port.Close()
			var to []func([]byte, int) int
			for range 16 {
				to = append(to, port.Sender(unread(b).LocalAddr().(*net.UDPAddr).AddrPort(), netip.Addr{}))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N / run {
				to[n%len(to)](packets, 1200)
			}
		})
		b.Run(fmt.Sprintf("relayed/run=%d", run), func(b *testing.B) {
			relay, clients := relayedClients(b, 16)
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N / run {
				relay.Send(packets, 1200, clients[n%len(clients)])
			}
			b.StopTimer()
			if lost := relay.Stats().Drops; lost.Rate+lost.Permission+lost.Unknown > 0 {
				b.Errorf("%+v", lost)
			}
		})
	}
}

func unread(b *testing.B) net.PacketConn {
	b.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn
}

// deafening is a client's socket that is not read any more once the client is ready.
type deafening struct {
	net.PacketConn
	deaf   atomic.Bool
	closed chan struct{}
}

func (d *deafening) ReadFrom(b []byte) (int, net.Addr, error) {
	if d.deaf.Load() {
		<-d.closed
		return 0, nil, net.ErrClosed
	}
	return d.PacketConn.ReadFrom(b)
}

// relayedClients opens a relay and clients of it that have bound a channel.
func relayedClients(b *testing.B, n int) (*turn.Server, []netip.AddrPort) {
	b.Helper()
	media := netip.MustParseAddrPort("203.0.113.1:8189")
	var mu sync.Mutex
	seen := make(map[netip.AddrPort]bool)
	relay, err := turn.Open(turn.Config{
		UDP:       "127.0.0.1:0",
		ListenUDP: func(addr string, handle turn.Handle) (turn.Port, error) { return mediaport.Listen(addr, handle) },
		Media:     func() []netip.AddrPort { return []netip.AddrPort{media} },
		Deliver: func(_ []byte, from netip.AddrPort) {
			mu.Lock()
			defer mu.Unlock()
			seen[from] = true
		},
		Virtual: mediaport.RelayedNet,
		Secret:  func(int64) []byte { return make([]byte, 32) },
		Limits:  turn.Limits{Rate: math.MaxInt, Unused: time.Hour},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { relay.Close() })
	address, _, _ := relay.Addresses()
	user, password := relay.Credential("bench", time.Hour)
	for i := range n {
		socket := &deafening{PacketConn: unread(b), closed: make(chan struct{})}
		b.Cleanup(func() { close(socket.closed) })
		client, err := pion.NewClient(&pion.ClientConfig{Conn: socket, STUNServerAddr: address.String(),
			TURNServerAddr: address.String(), Username: user, Password: password})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(client.Close)
		if err := client.Listen(); err != nil {
			b.Fatal(err)
		}
		conn, err := client.Allocate()
		if err != nil {
			b.Fatal(err)
		}
		harness.Eventually(b, "the client has its allocation, a permission and a channel", func() bool {
			if _, err := conn.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(media)); err != nil {
				b.Fatal(err)
			}
			return relay.Stats().Auth.OK >= 3*uint64(i+1)
		})
		socket.deaf.Store(true)
	}
	harness.Eventually(b, "all clients have sent something", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == n
	})
	var list []netip.AddrPort
	for a := range seen {
		list = append(list, a)
	}
	return relay, list
}
