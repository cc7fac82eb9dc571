package bwe

import (
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
)

func BenchmarkSent(b *testing.B) {
	now := time.Now()
	e := New(now)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		e.Sent(now, 1200)
	}
}

// BenchmarkFeedback is a report about thirty packets, with those packets.
func BenchmarkFeedback(b *testing.B) {
	const packets, reports = 30, 2048
	recorder := twcc.NewRecorder(1)
	var feedback [][]byte
	for n := range reports * packets {
		recorder.Record(1, uint16(n), int64(n)*2000)
		if n%packets == packets-1 {
			for _, p := range recorder.BuildFeedbackPacket() {
				bytes, err := p.Marshal()
				if err != nil {
					b.Fatal(err)
				}
				feedback = append(feedback, bytes)
			}
		}
	}
	now := time.Now()
	e := New(now)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if n == len(feedback) {
			e, n = New(now), 0
		}
		for range packets {
			now = now.Add(2 * time.Millisecond)
			e.Sent(now, 1200)
		}
		if err := e.Feedback(feedback[n], now); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packets), "ns/packet")
}
