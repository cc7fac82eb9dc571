package turn

import (
	"io"
	"math"
	"net"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkSend is the way of media from the demultiplexer to clients, in runs of so many packets of 1200 bytes. One
// operation is one packet. The clients' sockets are not read, but for TCP, where the kernel would stop.
func BenchmarkSend(b *testing.B) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		for _, channel := range []bool{true, false} {
			for _, run := range []int{1, 4, 8} {
				name := transport + "/indications"
				if channel {
					name = transport + "/channels"
				}
				b.Run(name+"/run="+string(rune('0'+run)), func(b *testing.B) { benchmarkSend(b, transport, channel, run) })
			}
		}
	}
}

func benchmarkSend(b *testing.B, transport string, channel bool, run int) {
	s := open(b, func(c *Config) { c.Limits.Rate = math.MaxInt; c.Limits.Queue = 1 << 20; c.now = nil })
	const clients = 16
	var to [clients]netip.AddrPort
	for i := range to {
		user, password := s.Credential("a", time.Hour)
		r := s.raw(transport, user, password)
		r.allocate()
		if channel {
			r.bind(0x4000, media)
			r.write(appendChannelData(nil, 0x4000, []byte("x"), true))
		} else {
			r.permit(media)
			r.sendTo(media, "x")
		}
		r.next()
		s.mu.Lock()
		to[i] = s.got[len(s.got)-1].from
		s.mu.Unlock()
		if f, ok := r.conn.(framed); ok {
			_ = f.SetReadDeadline(time.Time{})
			go func() { _, _ = io.Copy(io.Discard, f.Conn) }()
		}
	}
	packets := make([]byte, run*1200)
	before := s.Stats()
	n := 0
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N / run {
		s.Send(packets, 1200, to[n%clients])
		n++
		for transport != "udp" && s.Stats().Drops.Queue > before.Drops.Queue+uint64(n/10) { // wait for the writers
			time.Sleep(time.Millisecond)
			before = s.Stats()
		}
	}
}

// BenchmarkDirect is what a packet costs that is written to a UDP socket of Go's.
func BenchmarkDirect(b *testing.B) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	packet := make([]byte, 1200)
	to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.WriteToUDPAddrPort(packet, to); err != nil {
			b.Fatal(err)
		}
	}
}
