package mediaport

import (
	"net"
	"net/netip"
	"testing"
)

// sink is a UDP socket that nobody reads.
func sink(b *testing.B) *net.UDPConn {
	b.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn
}

// BenchmarkSend sends runs of eight datagrams of 1200 bytes. One operation is one datagram.
func BenchmarkSend(b *testing.B) {
	for name, options := range map[string]Options{
		"gso": {}, "gso-from": {}, "sendmmsg": {NoGSO: true}, "plain": {Plain: true},
	} {
		b.Run("send/"+name, func(b *testing.B) {
			listen, local := "127.0.0.1:0", netip.Addr{}
			if name == "gso-from" { // one of many addresses
				listen, local = ":0", netip.AddrFrom4([4]byte{127, 0, 0, 1})
			}
			socket, err := Open(listen, options)
			if err != nil {
				b.Fatal(err)
			}
			defer socket.Close()
			batch := newBatch(socket.ports[0], &socket.relays, func(int) {})
			to := make([]*Path, 16)
			for i := range to {
				to[i] = socket.Path(sink(b).LocalAddr().(*net.UDPAddr).AddrPort(), local)
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				batch.Room()
				batch.Add(1200, to[n/8%len(to)]) // runs of eight
				n++
			}
			batch.Flush()
		})
	}
}
