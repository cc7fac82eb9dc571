package bwe

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func FuzzFeedback(f *testing.F) {
	for _, p := range []rtcp.TransportLayerCC{
		{PacketStatusCount: 1, PacketChunks: []rtcp.PacketStatusChunk{
			&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta, RunLength: 1},
		}, RecvDeltas: []*rtcp.RecvDelta{{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: 500}}},
		{PacketStatusCount: 7, BaseSequenceNumber: 3, PacketChunks: []rtcp.PacketStatusChunk{
			&rtcp.StatusVectorChunk{SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit, SymbolList: []uint16{0, 1, 2, 0, 0, 0, 0}},
		}, RecvDeltas: []*rtcp.RecvDelta{
			{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: 500},
			{Type: rtcp.TypeTCCPacketReceivedLargeDelta, Delta: -8000},
		}},
		{PacketStatusCount: 14, BaseSequenceNumber: 3, PacketChunks: []rtcp.PacketStatusChunk{
			&rtcp.StatusVectorChunk{SymbolSize: rtcp.TypeTCCSymbolSizeOneBit, SymbolList: make([]uint16, 14)},
		}},
	} {
		p.Header = rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback}
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		b[3] = byte(len(b)/4 - 1)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		now := time.Unix(1, 0)
		e := New(now)
		for range 100 {
			now = now.Add(5 * time.Millisecond)
			e.Sent(now, 1200)
			e.Probe(now, 3_000_000, false)
		}
		for range 2 {
			_ = e.Feedback(b, now)
			now = now.Add(100 * time.Millisecond)
			e.Sent(now, 1200)
			e.Probe(now, 3_000_000, false)
		}
		if e.Target() < leastTarget || e.Target() > mostTarget || e.Queue(now) < 0 {
			t.Errorf("target %d, queue %v", e.Target(), e.Queue(now))
		}
		compareParser(t, b)
	})
}

// compareParser compares the parser with pion's, where both take a packet.
func compareParser(t *testing.T, b []byte) {
	r, err := parse(b)
	var p rtcp.TransportLayerCC
	if err != nil || p.Unmarshal(b) != nil || int(p.PacketStatusCount) != r.count {
		return
	}
	s := statuses{chunks: r.chunks}
	received := 0
	for i := range r.count {
		status, _ := s.next()
		if deltaSize(status) == 0 {
			continue
		}
		if d := r.delta(status); received < len(p.RecvDeltas) && p.RecvDeltas[received].Delta != d {
			t.Errorf("packet %d: delta %d, pion reads %d", i, d, p.RecvDeltas[received].Delta)
		}
		received++
	}
}
