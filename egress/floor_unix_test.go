//go:build unix

package egress

import (
	"encoding/binary"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/srtp/v3"
)

// BenchmarkPacedFloor is the least that a packet to a viewer costs at the pace of a broadcast: 200 viewers get frames
// 30 times a second, and sound 50 times, that are encrypted and sent, with GSO where there is any, and nothing else is
// done. It counts the CPU time of the process, which on loopback includes the way into the viewers' sockets. "siaran
// bench" measures a server in the same way.
func BenchmarkPacedFloor(b *testing.B) {
	for _, c := range []struct {
		rate  string
		frame int // packets
		size  int // of their payload
	}{{"2.5M", 9, 1157}, {"1M", 4, 1041}} {
		for _, sound := range []bool{false, true} {
			b.Run(fmt.Sprintf("rate=%s/sound=%v", c.rate, sound), func(b *testing.B) {
				pacedFloor(b, c.frame, c.size, sound)
			})
		}
	}
}

func pacedFloor(b *testing.B, frame, size int, sound bool) {
	const viewers, seconds = 200, 5
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	batch := newWorker(socket, 0, defaultBurst, new(drops)).batch
	paths, sealers := make([]*mediaport.Path, viewers), make([]rtpSealer, viewers)
	for i := range viewers {
		to := sink(b).LocalAddr().(*net.UDPAddr).AddrPort()
		paths[i], sealers[i] = socket.Path(to, to.Addr()), mediaSealer(b, srtp.ProtectionProfileAeadAes128Gcm)
	}
	payload := make([]byte, size)
	sent, index := 0, int64(0)
	send := func(packets, size int) {
		for i := range viewers {
			for n := range packets {
				room := batch.Room()
				room[0] = 2 << 6
				binary.BigEndian.PutUint16(room[2:], uint16(index+int64(n)))
				length, err := sealers[i].seal(room, payload[:size], index+int64(n))
				if err != nil {
					b.Fatal(err)
				}
				batch.Add(length, paths[i])
			}
		}
		batch.Flush()
		index += int64(packets)
		sent += packets * viewers
	}
	before := ownCPU(b)
	for range b.N {
		start := time.Now()
		for frames, sounds := 0, 0; frames < 30*seconds; {
			nextFrame := start.Add(time.Duration(frames) * time.Second / 30)
			if nextSound := start.Add(time.Duration(sounds) * time.Second / 50); sound && nextSound.Before(nextFrame) {
				time.Sleep(time.Until(nextSound))
				send(1, 160)
				sounds++
				continue
			}
			time.Sleep(time.Until(nextFrame))
			send(frame, size)
			frames++
		}
	}
	b.ReportMetric(float64((ownCPU(b)-before).Nanoseconds())/float64(sent), "cpu-ns/packet")
	b.ReportMetric(0, "ns/op")
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
