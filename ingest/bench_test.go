//go:build unix

package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
)

const (
	benchBroadcasters = 20
	benchBitrate      = 2_500_000 // bits a second of each
	benchPayload      = 1150      // bytes
	benchFrames       = 30        // a second
	benchTime         = 10 * time.Second
	benchEnv          = "INGEST_BENCH_BROADCASTERS"
)

// BenchmarkBroadcasters measures what it costs to take in 20 broadcasts of 2.5 Mbit/s without viewers: the CPU time
// of the server alone, for each packet. The broadcasters are another process.
func BenchmarkBroadcasters(b *testing.B) {
	if os.Getenv(benchEnv) != "" {
		broadcastAll(b)
		return
	}
	s := start(b, nil)
	from, to := otherProcess(b, benchEnv)
	for i := range benchBroadcasters {
		var offer string
		if err := from.Decode(&offer); err != nil {
			b.Fatal(err)
		}
		name := siaran.StreamName(fmt.Sprintf("s%d", i))
		answer, err := s.Offer(context.Background(), name, "owner", netip.Addr{}, []byte(offer))
		if err != nil {
			b.Fatal(err)
		}
		if err := to.Encode(string(answer.SDP)); err != nil {
			b.Fatal(err)
		}
	}
	layers := make([]*siaran.Layer, benchBroadcasters)
	for i := range layers {
		layers[i] = s.live(b, siaran.StreamName(fmt.Sprintf("s%d", i))).Video().Layers[0]
	}
	time.Sleep(time.Second)
	packets := func() (n int64) {
		for _, l := range layers {
			n += l.Head()
		}
		return n
	}
	before, cpu := packets(), ownCPU(b)
	for range b.N {
		time.Sleep(benchTime)
	}
	n, spent := packets()-before, ownCPU(b)-cpu
	b.ReportMetric(float64(spent.Nanoseconds())/float64(n), "cpu-ns/packet")
	b.ReportMetric(float64(n)/benchTime.Seconds()/float64(b.N), "packets/s")
	b.ReportMetric(0, "ns/op")
}

// otherProcess runs this benchmark in a process of its own, where variable is set. It returns what that process writes
// to descriptor 3, and its input; the process goes on until its input ends, with the benchmark.
func otherProcess(b *testing.B, variable string) (*json.Decoder, *json.Encoder) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^"+b.Name()+"$", "-test.benchtime=1x")
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, theirs, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirs}
	if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait(), out.Close()); err != nil {
			b.Error(err)
		}
	})
	return json.NewDecoder(out), json.NewEncoder(in)
}

func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// broadcastAll is the other process: it writes its offers to descriptor 3, and reads the answers from its input.
func broadcastAll(b *testing.B) {
	if b.N > 1 {
		return
	}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	var sending sync.WaitGroup
	done := make(chan struct{})
	out := json.NewEncoder(os.NewFile(3, "offers"))
	for range benchBroadcasters {
		c := newClient(b, clientOptions{video: webrtc.MimeTypeVP8, noAudio: true})
		connected := make(chan struct{}, 1)
		c.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
			if state == webrtc.PeerConnectionStateConnected {
				poke(connected)
			}
		})
		if err := out.Encode(c.offer()); err != nil {
			b.Fatal(err)
		}
		var answer string
		if err := in.Decode(&answer); err != nil {
			b.Fatal(err)
		}
		d := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}
		if err := c.pc.SetRemoteDescription(d); err != nil {
			b.Fatal(err)
		}
		sending.Go(func() { <-connected; c.sendAt(done) })
	}
	var end string
	_ = in.Decode(&end) // waits for the end of the input
	close(done)
	sending.Wait()
}

// sendAt sends frames of benchBitrate in all.
func (b *broadcaster) sendAt(done <-chan struct{}) {
	tick := time.NewTicker(time.Second / benchFrames)
	defer tick.Stop()
	seq, due := uint16(0), 0.0
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		due += float64(benchBitrate) / 8 / benchFrames / (benchPayload + 50)
		for ; due >= 1; due-- {
			payload := append(vp8(n%benchFrames == 0, n), make([]byte, benchPayload)...)
			if err := b.video.WriteRTP(rtpPacket(seq, uint32(n)*90000/benchFrames, due < 2,
				payload[:benchPayload])); err != nil {
				return
			}
			seq++
		}
	}
}
