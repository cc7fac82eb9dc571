package egress

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/srtp/v2"

	"siaran"
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

// BenchmarkFanOut sends frames of 9 packets of 1200 bytes to viewers, all stages included. One operation is one packet to one viewer.
func BenchmarkFanOut(b *testing.B) {
	for _, profile := range []srtp.ProtectionProfile{srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80} {
		for _, mode := range []string{"gso", "sendmmsg", "plain"} {
			for _, viewers := range []int{1, 200} {
				b.Run(fmt.Sprintf("%s/%s/viewers=%d", profile, mode, viewers), func(b *testing.B) {
					benchmarkFanOut(b, profile, SocketOptions{NoGSO: mode == "sendmmsg", Plain: mode == "plain"}, viewers)
				})
			}
		}
	}
}

func benchmarkFanOut(b *testing.B, profile srtp.ProtectionProfile, options SocketOptions, viewers int) {
	socket, err := Listen("127.0.0.1:0", options)
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	hub := siaran.NewHub(time.Second)
	defer hub.Close()
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorker(socket, socket.ports[0], defaultBurst)
	layers := pub.Broadcast().Video().Layers
	w.layers[layers[0]] = follow(layers[0], w.wake, true)
	sinks := make([]*net.UDPConn, min(viewers, 16))
	for i := range sinks {
		sinks[i] = sink(b)
	}
	for i := range viewers {
		l := newLink(socket, "r")
		to := sinks[i%len(sinks)].LocalAddr().(*net.UDPAddr).AddrPort()
		l.selected.Store(socket.path(to, netip.Addr{}))
		l.lastCheck.Store(time.Now().Add(time.Hour).UnixNano())
		l.media = mediaSealer(b, profile)
		v := newViewer(l, []plan{{Kind: siaran.KindVideo, ClockRate: 90000, Layers: layers, PayloadType: 96, SSRC: uint32(i + 1)}}, nil)
		v.tracks[0].feed = w.layers[layers[0]]
		w.viewers = append(w.viewers, v)
	}
	writer := pub.Writer(siaran.KindVideo, "")
	const packets = 9
	seq := int64(0)
	frame := func() {
		for i := range packets {
			payload := make([]byte, 1200)
			payload[1] = 1
			if i == 0 {
				copy(payload, []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00})
			}
			if err := writer.Write(seq, seq/packets*3000, i == packets-1, payload, time.Now()); err != nil {
				b.Fatal(err)
			}
			seq++
		}
		w.serve(time.Now())
		w.batch.flush()
	}
	for range 20 { // past the paced start
		frame()
		time.Sleep(paceTick)
	}
	before := w.stats.packets.Load()
	b.ReportAllocs()
	for b.Loop() {
		for range max(1, 1800/viewers/packets) {
			frame()
		}
	}
	sent := w.stats.packets.Load() - before
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/packet")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStages takes the way of one packet apart. One operation is one packet of 1200 bytes to one viewer.
func BenchmarkStages(b *testing.B) {
	p := &siaran.Packet{Payload: make([]byte, 1200)}
	room := make([]byte, maxDatagram)
	t := &track{plan: plan{PayloadType: 96, SSRC: 1}}
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.head(room, 96, 1, 2, 3, false)
		}
	})
	for _, profile := range []srtp.ProtectionProfile{srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80} {
		b.Run("seal/"+profile.String(), func(b *testing.B) {
			sealer, index := mediaSealer(b, profile), int64(0)
			b.ReportAllocs()
			for b.Loop() {
				index++
				binary.BigEndian.PutUint16(room[2:], uint16(index))
				if _, err := sealer.seal(room, p.Payload, index); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, options := range map[string]SocketOptions{"gso": {}, "gso-from": {}, "sendmmsg": {NoGSO: true}, "plain": {Plain: true}} {
		b.Run("send/"+name, func(b *testing.B) {
			listen, local := "127.0.0.1:0", netip.Addr{}
			if name == "gso-from" { // one of many addresses
				listen, local = ":0", netip.AddrFrom4([4]byte{127, 0, 0, 1})
			}
			socket, err := Listen(listen, options)
			if err != nil {
				b.Fatal(err)
			}
			defer socket.Close()
			batch := newBatch(socket.ports[0], &socket.relays, func(int) {})
			to := make([]*path, 16)
			for i := range to {
				to[i] = socket.path(sink(b).LocalAddr().(*net.UDPAddr).AddrPort(), local)
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				batch.room()
				batch.add(1200, to[n/8%len(to)]) // runs of eight
				n++
			}
			batch.flush()
		})
	}
}

func sealer(b testing.TB, profile srtp.ProtectionProfile) *srtp.Context {
	b.Helper()
	key, err := profile.KeyLen()
	if err != nil {
		b.Fatal(err)
	}
	salt, err := profile.SaltLen()
	if err != nil {
		b.Fatal(err)
	}
	context, err := srtp.CreateContext(make([]byte, key), make([]byte, salt), profile)
	if err != nil {
		b.Fatal(err)
	}
	return context
}

func mediaSealer(b testing.TB, profile srtp.ProtectionProfile) rtpSealer {
	b.Helper()
	key, _ := profile.KeyLen()
	salt, _ := profile.SaltLen()
	s, err := newSealer(profile, make([]byte, key), make([]byte, salt), sealer(b, profile))
	if err != nil {
		b.Fatal(err)
	}
	return s
}
