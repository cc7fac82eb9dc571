package egress

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"

	"siaran"
	"siaran/internal/codec"
)

// sink is a UDP socket that is not read.
func sink(b *testing.B) *net.UDPConn {
	b.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn
}

// BenchmarkFanOut sends frames of 9 packets of 1200 bytes to viewers, all stages included. One operation is one packet
// to one viewer.
func BenchmarkFanOut(b *testing.B) {
	for _, profile := range []srtp.ProtectionProfile{
		srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80,
	} {
		for _, mode := range []string{"gso", "sendmmsg", "plain"} {
			for _, viewers := range []int{1, 200} {
				b.Run(fmt.Sprintf("%s/%s/viewers=%d", profile, mode, viewers), func(b *testing.B) {
					benchmarkFanOut(b, profile, mediaport.Options{NoGSO: mode == "sendmmsg", Plain: mode == "plain"}, viewers)
				})
			}
		}
	}
}

func benchmarkFanOut(b *testing.B, profile srtp.ProtectionProfile, options mediaport.Options, viewers int) {
	f := newFanOut(b, profile, options, viewers)
	for range 20 { // past the paced start
		f.frame()
	}
	f.measure(b, max(1, 1800/viewers/fanOutPackets))
}

// BenchmarkFanOutOfLayers compares one layer with three, whose viewers are numbered packets and report them.
func BenchmarkFanOutOfLayers(b *testing.B) {
	const viewers = 200
	for _, rids := range [][]string{nil, {"l", "m", "h"}} {
		b.Run(fmt.Sprintf("layers=%d", max(1, len(rids))), func(b *testing.B) {
			f := newFanOut(b, srtp.ProtectionProfileAeadAes128Gcm, mediaport.Options{}, viewers, rids...)
			for i := range 300 {
				f.frame()
				if i%3 == 0 {
					f.w.tick(f.now)
				}
			}
			for _, v := range f.w.viewers {
				if got := v.tracks[0].layer; rids != nil && got.RID() != "h" {
					b.Fatalf("a viewer has layer %s at %d bit/s", got.RID(), v.estimate.Target())
				}
			}
			f.measure(b, 1)
		})
	}
}

const (
	fanOutPackets = 9 // of a frame
	fanOutReport  = 3 // frames from report to report
)

// fanOut is a worker with viewers of a stream, of which frames are written and sent.
type fanOut struct {
	b       *testing.B
	w       *worker
	writers []*siaran.Writer
	seq     int64
	report  []byte
	numbers []uint16 // of each viewer, that have been reported
	start   time.Time
	now     time.Time // moves by frames, so that no pacer waits
}

func newFanOut(b *testing.B, profile srtp.ProtectionProfile, options mediaport.Options, viewers int,
	rids ...string) *fanOut {
	b.Helper()
	socket, err := mediaport.Open("127.0.0.1:0", options)
	if err != nil {
		b.Fatal(err)
	}
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	b.Cleanup(func() { hub.Close(); socket.Close() })
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: rids},
	})
	if err != nil {
		b.Fatal(err)
	}
	f := &fanOut{b: b, w: newWorker(socket, 0, defaultBurst, new(drops)), writers: pub.Writers()}
	f.start = time.Now()
	f.now = f.start
	layers := pub.Broadcast().Video().Layers
	f.frame()
	for _, l := range layers {
		f.w.layers[l] = follow(l, f.w.wake, true)
	}
	sinks := make([]*net.UDPConn, min(viewers, 16))
	for i := range sinks {
		sinks[i] = sink(b)
	}
	p := plan{Kind: siaran.KindVideo, ClockRate: 90000, Layers: layers, PayloadType: 96}
	if len(rids) > 0 {
		p.NumberID, p.RTXPayloadType, p.Choice = 3, 97, true
	}
	for i := range viewers {
		l := testLink(socket, "r", "p")
		proveAt(l, sinks[i%len(sinks)].LocalAddr().(*net.UDPAddr).AddrPort()).Prove(time.Now().Add(time.Hour))
		l.media, l.out = mediaSealer(b, profile), sealer(b, profile)
		p.SSRC, p.RTXSSRC = uint32(4*i+videoSSRC), uint32(4*i+repairSSRC)
		v := newViewer(l, []plan{p}, nil)
		v.tracks[0].use(f.w, layers[len(layers)-1])
		f.w.viewers = append(f.w.viewers, v)
	}
	f.numbers = make([]uint16, viewers)
	f.now = time.Now() // the viewers' estimates begin before
	return f
}

// frame writes a frame of each layer, and serves.
func (f *fanOut) frame() {
	for i, w := range f.writers {
		for n := range fanOutPackets {
			if below := len(f.writers) - 1 - i; below > 0 && n >= 3-below {
				break
			}
			payload := make([]byte, 1200)
			payload[1] = 1
			if n == 0 {
				copy(payload, []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, byte(i + 1), 0, byte(i + 1), 0})
			}
			last := n == fanOutPackets-1 || i < len(f.writers)-1
			if err := w.Write(f.seq+int64(n), f.seq/fanOutPackets*3000, last, payload, f.now); err != nil {
				f.b.Fatal(err)
			}
		}
	}
	f.seq += fanOutPackets
	f.now = f.now.Add(33 * time.Millisecond)
	f.w.serve(f.now)
	f.w.batch.Flush()
	if len(f.w.viewers) > 0 && f.seq/fanOutPackets%fanOutReport == 0 {
		f.reports()
	}
}

// reports has every viewer report that all numbers have arrived.
func (f *fanOut) reports() {
	if f.w.viewers[0].estimate == nil {
		return
	}
	for i, v := range f.w.viewers {
		next := v.estimate.Sent(f.now, 1)
		f.report = arrivals(f.report[:0], f.numbers[i], next-f.numbers[i], f.now.Sub(f.start)+time.Minute)
		f.numbers[i] = next
		v.handleCompound(f.w, f.report, f.now)
	}
}

// arrivals writes feedback that says that packets have arrived all at once.
func arrivals(b []byte, first, count uint16, at time.Duration) []byte {
	b = append(b, 0x80|rtcp.FormatTCC, byte(rtcp.TypeTransportSpecificFeedback), 0, 0, 0, 0, 0, 1, 0, 0, 0, 2)
	b = binary.BigEndian.AppendUint16(b, first)
	b = binary.BigEndian.AppendUint16(b, count)
	const unit, tick = 64 * time.Millisecond, 250 * time.Microsecond
	b = binary.BigEndian.AppendUint32(b, uint32(at/unit)<<8)
	b = binary.BigEndian.AppendUint16(b, 1<<13|count) // a run of small deltas
	b = append(b, byte(at%unit/tick))
	b = append(b, make([]byte, max(int(count), 1)-1)...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}

// measure sends frames, so many at a time.
func (f *fanOut) measure(b *testing.B, frames int) {
	before := f.w.stats.packets.Load()
	b.ReportAllocs()
	for b.Loop() {
		for range frames {
			f.frame()
		}
	}
	sent := f.w.stats.packets.Load() - before
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/packet")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStages takes the way of one packet apart. One operation is one packet of 1200 bytes to one viewer.
func BenchmarkStages(b *testing.B) {
	p := &siaran.Packet{Payload: make([]byte, 1200)}
	room := make([]byte, mediaport.MaxDatagram)
	t := &track{plan: plan{PayloadType: 96, SSRC: 1}}
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.head(room, 96, 1, 2, 3, false)
		}
	})
	for _, profile := range []srtp.ProtectionProfile{
		srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80,
	} {
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
	context, err := srtp.CreateContext(make([]byte, key), make([]byte, salt), profile, srtp.SRTCPReplayProtection(64))
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

// BenchmarkProof is what a viewer's first check and the proof of its address cost, besides the two datagrams of each.
func BenchmarkProof(b *testing.B) {
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	from := netip.MustParseAddrPort("127.0.0.1:9")
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		l := testLink(socket, "viewer", viewerPassword)
		ownerOf(l).onFirstCheck = func() {}
		l.endpoint.Open()
		check := rightCheck(b, l)
		b.StartTimer()
		l.HandleCheck(check, from, netip.Addr{})
		b.StopTimer()
		l.mu.Lock()
		id := l.sources[0].question.id
		l.mu.Unlock()
		answer := answerTo(b, &stun.Message{TransactionID: id}, viewerPassword).Raw
		b.StartTimer()
		l.HandleAnswer(answer, from, netip.Addr{})
		b.StopTimer()
		if l.selected.Load() == nil {
			b.Fatal("not proven")
		}
		l.close()
		b.StartTimer()
	}
}
