//go:build unix

package ingest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"siaran"
)

const benchPullEnv = "INGEST_BENCH_PARENT"

// question is an offer for a stream of the other process. Its answer is an SDP text.
type question struct {
	Stream siaran.StreamName
	Offer  []byte
}

// BenchmarkPull measures what it costs to pull 20 streams of 2.5 Mbit/s from another server, which is another process:
// the CPU time of this one for each packet, to be compared with BenchmarkBroadcasters, and the time from the parent's
// hub to this one's.
func BenchmarkPull(b *testing.B) {
	if os.Getenv(benchPullEnv) != "" {
		beParent(b)
		return
	}
	s := start(b, nil)
	from, to := otherProcess(b, benchPullEnv)
	var layers []*siaran.Layer
	var joins []time.Duration
	for i := range benchBroadcasters {
		name := benchStream(i)
		began := time.Now()
		p, err := s.Pull(b.Context(), PullConfig{
			Stream: name, Owner: "relay",
			Exchange: func(_ context.Context, offer []byte) (answer PullAnswer, err error) {
				err = errors.Join(to.Encode(question{name, offer}), from.Decode(&answer.SDP))
				return answer, err
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		joins = append(joins, time.Since(began))
		layers = append(layers, p.Broadcast().Video().Layers[0])
	}
	packets := func() (n int64) {
		for _, l := range layers {
			n += l.Head()
		}
		return n
	}
	time.Sleep(2 * time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	var measuring sync.WaitGroup
	var ages []time.Duration
	measuring.Go(func() { ages = agesOf(ctx, layers[0]) })
	before, cpu := packets(), ownCPU(b)
	for range b.N {
		time.Sleep(benchTime)
	}
	n, spent := packets()-before, ownCPU(b)-cpu
	cancel()
	measuring.Wait()
	slices.Sort(ages)
	slices.Sort(joins)
	b.ReportMetric(float64(spent.Nanoseconds())/float64(n), "cpu-ns/packet")
	b.ReportMetric(float64(n)/benchTime.Seconds()/float64(b.N), "packets/s")
	b.ReportMetric(float64(ages[len(ages)/2].Microseconds()), "hop-p50-µs")
	b.ReportMetric(float64(ages[len(ages)*99/100].Microseconds()), "hop-p99-µs")
	b.ReportMetric(float64(joins[len(joins)/2].Microseconds()), "join-p50-µs")
	b.ReportMetric(float64(joins[len(joins)-1].Microseconds()), "join-max-µs")
	b.ReportMetric(0, "ns/op")
}

func benchStream(i int) siaran.StreamName { return siaran.StreamName(fmt.Sprintf("s%d", i)) }

// stampAt is where a packet has the time at which it was written to the parent's hub.
const stampAt = 30

// agesOf follows a layer and returns how old each packet is when it wakes its followers.
func agesOf(ctx context.Context, l *siaran.Layer) (ages []time.Duration) {
	wake := make(chan struct{}, 1)
	defer l.Follow(wake)()
	for seq := l.Head(); ; {
		select {
		case <-ctx.Done():
			return ages
		case <-wake:
		}
		now := time.Now().UnixNano()
		for ; seq < l.Head(); seq++ {
			if p := l.Get(seq); p != nil {
				ages = append(ages, time.Duration(now-int64(binary.BigEndian.Uint64(p.Payload[stampAt:]))))
			}
		}
	}
}

// beParent is the other process: it reads questions from its input, and writes answers to descriptor 3.
func beParent(b *testing.B) {
	if b.N > 1 {
		return
	}
	p := startParent(b)
	done := make(chan struct{})
	var sending sync.WaitGroup
	for i := range benchBroadcasters {
		pub, err := p.hub.Publish(benchStream(i), "owner", []siaran.TrackSpec{
			{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}},
		})
		if err != nil {
			b.Fatal(err)
		}
		sending.Go(func() { broadcastAt(done, pub.Writer(siaran.KindVideo, "")) })
	}
	for i := range benchBroadcasters {
		for {
			if _, err := p.hub.Broadcast(benchStream(i)); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.NewFile(3, "answers"))
	for {
		var q question
		if err := in.Decode(&q); err != nil { // the end
			break
		}
		answer, err := p.egress.Offer(b.Context(), q.Stream, "", netip.Addr{}, q.Offer)
		if err != nil {
			b.Fatal(err)
		}
		if err := out.Encode(answer.SDP); err != nil {
			b.Fatal(err)
		}
	}
	close(done)
	sending.Wait()
}

// broadcastAt writes frames of benchBitrate in all.
func broadcastAt(done <-chan struct{}, w *siaran.Writer) {
	tick := time.NewTicker(time.Second / benchFrames)
	defer tick.Stop()
	seq, due := int64(0), 0.0
	for n := 0; ; n++ {
		due += float64(benchBitrate) / 8 / benchFrames / (benchPayload + 50)
		for ; due >= 1; due-- {
			payload := append(vp8(n%benchFrames == 0, n), make([]byte, benchPayload)...)[:benchPayload]
			now := time.Now()
			binary.BigEndian.PutUint64(payload[stampAt:], uint64(now.UnixNano()))
			_ = w.Write(seq, int64(n)*90000/benchFrames, due < 2, payload, now) // until the hub is closed
			seq++
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}
