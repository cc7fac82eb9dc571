package ingest

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
)

// bench is a receiver without a network, and a clock that the test moves.
type bench struct {
	t           testing.TB
	hub         *siaran.Hub
	receiver    *receiver
	publication *siaran.Publication
	wake        chan struct{}
	now         time.Time
	times       feedbackTimes
}

func newBench(t testing.TB, offer string) *bench {
	t.Helper()
	parsed, err := sdp.ParseOffer([]byte(offer))
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := choose(parsed)
	if err != nil {
		t.Fatal(err)
	}
	specs := make([]siaran.TrackSpec, len(chosen))
	for i := range chosen {
		specs[i] = chosen[i].spec()
	}
	b := &bench{t: t, hub: siaran.NewHub(time.Second, codec.NewFramer), now: time.Unix(1.8e9, 0)}
	b.publication, err = b.hub.Publish("cats", "owner", specs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.hub.Close)
	b.wake = make(chan struct{}, 1)
	b.receiver = newReceiver(b.wake)
	b.receiver.epoch = b.now
	b.receiver.attach(parsed, chosen, b.publication)
	return b
}

// take gives the receiver a packet.
func (b *bench) take(p *rtp.Packet) {
	b.t.Helper()
	data, err := p.Marshal()
	if err != nil {
		b.t.Fatal(err)
	}
	b.receiver.rtp(data, b.now)
}

// pass lets time go by, in the steps in which the session's goroutine looks after things.
func (b *bench) pass(d time.Duration) (said []rtcp.Packet) {
	for end := b.now.Add(d); b.now.Before(end); {
		b.now = b.now.Add(tickWaiting)
		out, _ := b.receiver.dueFeedback(b.now, &b.times)
		said = append(said, out...)
	}
	return said
}

// packets are all that the hub has of a layer.
func (b *bench) packets(kind siaran.Kind, rid string) []*siaran.Packet {
	l := b.publication.Writer(kind, rid).Layer()
	var list []*siaran.Packet
	for seq := l.Tail(); seq < l.Head(); seq++ {
		if p := l.Get(seq); p != nil {
			list = append(list, p)
		}
	}
	return list
}

// firefox offers VP8 as 120, its retransmissions as 124, and declares these SSRCs.
const (
	firefoxVideo  = 2180311728
	firefoxRepair = 2406422403
)

func video(ssrc uint32, seq uint16, timestamp uint32, n int) *rtp.Packet {
	p := rtpPacket(seq, timestamp, true, vp8(n == 0, n))
	p.SSRC, p.PayloadType = ssrc, 120
	return p
}

func repairOf(ssrc uint32, seq uint16, p *rtp.Packet) *rtp.Packet {
	r := *p
	r.SSRC, r.SequenceNumber, r.PayloadType = ssrc, seq, 124
	r.Payload = append(binary.BigEndian.AppendUint16(nil, p.SequenceNumber), p.Payload...)
	return &r
}

// same fails unless the layer has exactly the frames, without a gap.
func (b *bench) same(frames ...int) {
	b.t.Helper()
	got := b.packets(siaran.KindVideo, "")
	if len(got) != len(frames) {
		b.t.Fatalf("%d packets, want %d", len(got), len(frames))
	}
	for i, p := range got {
		if !bytes.Equal(p.Payload, vp8(frames[i] == 0, frames[i])) {
			b.t.Errorf("packet %d is %x, want frame %d", i, p.Payload, frames[i])
		}
	}
}

func TestUndeclaredSources(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(77, 10, 0, 0)) // neither mid nor a=ssrc: the payload type tells
	b.take(repairOf(78, 5, video(77, 11, 3000, 1)))
	b.take(video(77, 12, 6000, 2))
	b.same(0, 1, 2)
}

func TestRepairOfDeclaredSource(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 65535, 0, 0))
	b.take(video(firefoxVideo, 1, 6000, 2))
	said := b.pass(10 * time.Millisecond)
	asked := false
	for _, p := range said {
		if n, ok := p.(*rtcp.TransportLayerNack); ok && n.MediaSSRC == firefoxVideo && n.Nacks[0].PacketID == 0 {
			asked = true
		}
	}
	if !asked {
		t.Errorf("said %v", said)
	}
	b.take(repairOf(firefoxRepair, 9, video(firefoxVideo, 0, 3000, 1)))
	b.same(0, 1, 2)
	if l := b.receiver.health(b.now)[0]; l.Recovered != 1 || l.Lost != 0 {
		t.Errorf("health is %+v", l)
	}
}

func TestWaitForMissingIsBounded(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 1, 0, 0))
	b.take(video(firefoxVideo, 3, 6000, 2))
	b.same(0)
	said := b.pass(maxWait)
	b.same(0, 2)
	times := 0
	for _, p := range said {
		if _, ok := p.(*rtcp.TransportLayerNack); ok {
			times++
		}
	}
	if times < 2 || times > maxAttempts {
		t.Errorf("asked %d times", times)
	}
	b.take(video(firefoxVideo, 2, 3000, 1)) // too late
	b.same(0, 2)
	if p := b.packets(siaran.KindVideo, ""); p[1].Seq-p[0].Seq != 2 {
		t.Errorf("the loss does not show: %d, %d", p[0].Seq, p[1].Seq)
	}
}

func TestNewSourceGoesOn(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	for n := range 3 {
		b.take(video(firefoxVideo, uint16(40000+n), uint32(n)*3000, n))
		b.pass(33 * time.Millisecond)
	}
	for n := range 3 { // the encoder has restarted with another SSRC
		b.take(video(99, uint16(100+n), uint32(4e9)+uint32(n)*3000, 3+n))
		b.pass(33 * time.Millisecond)
	}
	b.take(video(firefoxVideo, 40003, 9000, 9)) // a straggler of the old one
	b.same(0, 1, 2, 3, 4, 5)
	got := b.packets(siaran.KindVideo, "")
	for i, p := range got[1:] {
		if step := p.Timestamp - got[i].Timestamp; step < 2500 || step > 3600 {
			t.Errorf("timestamp steps by %d at packet %d", step, i+1)
		}
	}
}

func TestSourceJumpsBack(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 30000, 0, 0))
	b.take(video(firefoxVideo, 20000, 3000, 7)) // one alone is not believed
	b.take(video(firefoxVideo, 30001, 3000, 1))
	b.take(video(firefoxVideo, 100, 77, 2)) // nor the first of two
	b.take(video(firefoxVideo, 101, 3077, 3))
	b.take(video(firefoxVideo, 102, 6077, 4))
	b.same(0, 1, 3, 4)
}

// An encoder goes back to an SSRC that it has used before, as one does with two sources to switch between.
func TestSourceReturns(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	send := func(ssrc uint32, seq uint16, frame int) {
		b.take(video(ssrc, seq, uint32(frame)*3000, frame))
		b.now = b.now.Add(33 * time.Millisecond)
	}
	other := uint32(firefoxVideo + 1)
	send(firefoxVideo, 500, 0)
	send(firefoxVideo, 501, 1)
	send(other, 9, 2)
	send(firefoxVideo, 502, 99) // was under way
	send(other, 10, 3)
	b.now = b.now.Add(returnTime)
	send(firefoxVideo, 300, 4)
	send(firefoxVideo, 301, 5)
	send(other, 11, 99)
	b.same(0, 1, 2, 3, 4, 5)
	if l := b.receiver.health(b.now)[0]; l.Lost != 0 || l.Duplicates != 0 {
		t.Errorf("%d lost, %d duplicates", l.Lost, l.Duplicates)
	}
}

// A packet that comes by itself after it has been asked for was late, and not lost.
func TestLatePacketsAreNotRepairs(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 1, 0, 0))
	for n := uint16(1); n < 40; n += 2 {
		late, next := video(firefoxVideo, n+1, uint32(n)*3000, int(n)), video(firefoxVideo, n+2, uint32(n+1)*3000, int(n+1))
		b.take(next)
		b.pass(10 * time.Millisecond)
		if n == 1 {
			b.take(repairOf(firefoxRepair, 1, late)) // this one was lost
			continue
		}
		b.take(late)
		b.take(repairOf(firefoxRepair, n, late))
	}
	if l := b.receiver.health(b.now)[0]; l.Asked != 20 || l.Recovered != 1 || l.Lost != 0 {
		t.Errorf("%d asked, %d recovered, %d lost", l.Asked, l.Recovered, l.Lost)
	}
}

func TestDuplicatesAreNotInTheRates(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	for n := range 400 {
		p := video(firefoxVideo, uint16(n), uint32(n)*900, n+1)
		if n == 0 {
			p.Payload = vp8(true, n)
		}
		if n%10 != 5 { // lost
			for range 10 {
				b.take(p)
			}
		}
		b.now = b.now.Add(10 * time.Millisecond)
		b.receiver.dueFeedback(b.now, &b.times)
		b.receiver.measure(b.now)
	}
	l := b.receiver.health(b.now)[0]
	if size := len(vp8(false, 1)); l.Bitrate > 100*size*8 || l.Bitrate < 50*size*8 {
		t.Errorf("%d bits a second", l.Bitrate)
	}
	if l.LossPercent < 5 || l.LossPercent > 15 {
		t.Errorf("%v %% lost", l.LossPercent)
	}
}

// An encoder that begins again may begin with higher numbers. Nothing is lost then.
func TestSourceJumpsAhead(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 100, 0, 0))
	b.take(video(firefoxVideo, 101, 3000, 1))
	b.now = b.now.Add(33 * time.Millisecond)
	b.take(video(firefoxVideo, 20101, 1<<30, 2))
	b.take(video(firefoxVideo, 20102, 1<<30+3000, 3))
	b.same(0, 1, 2, 3)
	if l := b.receiver.health(b.now)[0]; l.Lost != 0 || l.TimestampJumps != 0 {
		t.Errorf("%d lost, %d jumps", l.Lost, l.TimestampJumps)
	}
	got := b.packets(siaran.KindVideo, "")
	if step := got[2].Seq - got[1].Seq; step != 2 { // viewers see a loss, as frames may be missing
		t.Errorf("a step of %d", step)
	}
	if step := got[2].Timestamp - got[1].Timestamp; step < 2900 || step > 3000 {
		t.Errorf("a step of the timestamps of %d", step)
	}
}

func TestLongOutage(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 1, 0, 0))
	b.now = b.now.Add(10 * time.Second)
	b.take(video(firefoxVideo, 9000, 900000, 1))
	b.take(video(firefoxVideo, 9001, 903000, 2))
	b.same(0, 1, 2)
	got := b.packets(siaran.KindVideo, "")
	if got[1].Timestamp-got[0].Timestamp != 900000 {
		t.Errorf("timestamps %d, %d", got[0].Timestamp, got[1].Timestamp)
	}
}

func TestOtherPayloadTypesLeaveNoGap(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 1, 0, 0))
	red := video(firefoxVideo, 2, 3000, 1)
	red.PayloadType = 122
	b.take(red)
	b.take(video(firefoxVideo, 3, 3000, 2))
	b.same(0, 2)
	if p := b.packets(siaran.KindVideo, ""); p[1].Seq != p[0].Seq+1 {
		t.Errorf("numbers %d, %d", p[0].Seq, p[1].Seq)
	}
}

func TestSourcesAreCapped(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	for ssrc := range uint32(10 * maxSSRCs) {
		b.take(video(ssrc+1, 1, 0, 0))
	}
	if n := len(b.receiver.demux.sources); n > maxSSRCs {
		t.Errorf("%d sources are known", n)
	}
}

// An encoder changes its SSRC with each source that it shows, for days. The newest one feeds the layer, and those
// before it do not.
func TestManyChangesOfSSRC(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	packets := func() int { return len(b.packets(siaran.KindVideo, "")) }
	for ssrc := range uint32(3 * maxSSRCs) {
		before := packets()
		b.take(video(ssrc+1, 1, 0, 0))
		if got := packets(); got != before+1 {
			t.Fatalf("SSRC %d: %d packets after %d", ssrc+1, got, before)
		}
		b.take(video(ssrc, 2, 3000, 1))
		if got := packets(); ssrc > 0 && got != before+1 {
			t.Fatalf("a packet of SSRC %d is taken, which %d has followed", ssrc, ssrc+1)
		}
	}
}

func TestReceiverReports(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	for n := range 100 {
		if n%4 != 3 {
			b.take(video(firefoxVideo, uint16(65500+n), uint32(n)*90, n))
		}
		b.now = b.now.Add(time.Millisecond)
	}
	sr, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: firefoxVideo, NTPTime: 0x1234_5678_9abc_def0,
		RTPTime: 9000}})
	if err != nil {
		t.Fatal(err)
	}
	b.receiver.rtcp(sr, b.now)
	b.now = b.now.Add(500 * time.Millisecond)
	out, _ := b.receiver.dueFeedback(b.now, &b.times)
	report, ok := out[0].(*rtcp.ReceiverReport)
	if !ok || len(report.Reports) != 1 {
		t.Fatalf("said %v", out)
	}
	got := report.Reports[0]
	// 99 of 100 are expected, because the last one was lost; 75 came.
	if got.SSRC != firefoxVideo || got.TotalLost != 24 || got.FractionLost != 24*256/99 ||
		got.LastSequenceNumber != 65598 {
		t.Errorf("report is %+v", got)
	}
	if got.LastSenderReport != 0x5678_9abc || got.Delay != 32768 {
		t.Errorf("round trip fields of %+v", got)
	}
}

func TestKeyframeRequestsAreRationed(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 1, 0, 0))
	layer := b.publication.Writer(siaran.KindVideo, "").Layer()
	layer.RequestKeyframe()
	if out, pending := b.receiver.dueKeyframeRequests(b.now, true); pictureLosses(out) != 1 || pending {
		t.Fatalf("first: %v, %v", out, pending)
	}
	b.now = b.now.Add(100 * time.Millisecond)
	layer.RequestKeyframe()
	if out, pending := b.receiver.dueKeyframeRequests(b.now, true); len(out) != 0 || !pending {
		t.Fatalf("too soon: %v, %v", out, pending)
	}
	b.now = b.now.Add(keyframeWait)
	if out, pending := b.receiver.dueKeyframeRequests(b.now, true); pictureLosses(out) != 1 || pending {
		t.Fatalf("in time: %v, %v", out, pending)
	}
	b.now = b.now.Add(keyframeWait)
	if out, pending := b.receiver.dueKeyframeRequests(b.now, true); len(out) != 0 || pending {
		t.Fatalf("nobody asked: %v, %v", out, pending)
	}
}

func TestKeyframeIntervalIsNoMatterWhenAsked(t *testing.T) {
	for _, answers := range []bool{true, false} {
		b := newBench(t, readOffer(t, "whip-firefox"))
		key := true
		for n := range 600 { // 6 s of 100 frames a second
			p := video(firefoxVideo, uint16(n), uint32(n)*900, n+1)
			if key {
				p.Payload = vp8(true, n)
			}
			b.take(p)
			key = false
			out, _ := b.receiver.dueKeyframeRequests(b.now, false)
			key = answers && pictureLosses(out) > 0
			b.now = b.now.Add(10 * time.Millisecond)
		}
		h := Health{Connected: true, Layers: b.receiver.health(b.now)}
		h.warn()
		if got := len(h.Warnings) == 0; got != answers || h.Layers[0].KeyframeRequests != 1 {
			t.Errorf("answering is %v: %+v", answers, h)
		}
	}
}

// A layer that the broadcaster stops for a while, or a screen that does not change, says nothing about key frames.
func TestKeyframeIntervalIsWithoutSilence(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	check := func(when string) {
		t.Helper()
		h := Health{Connected: true, Layers: b.receiver.health(b.now)}
		h.warn()
		if i := h.Layers[0].KeyframeInterval; i < 0.9 || i > 3 || h.Layers[0].KeyframeRequests != 0 {
			t.Errorf("%s: interval of %v s, %d requests", when, i, h.Layers[0].KeyframeRequests)
		}
		for _, w := range h.Warnings {
			if w.Code == "keyframes" {
				t.Errorf("%s: %s", when, w.Text)
			}
		}
	}
	n, start := 0, b.now
	send := func(frames int) {
		for range frames {
			p := video(firefoxVideo, uint16(n), uint32(b.now.Sub(start).Seconds()*90000), n+1)
			if n%100 == 0 {
				p.Payload = vp8(true, n)
			}
			b.take(p)
			b.receiver.dueKeyframeRequests(b.now, false)
			n++
			b.now = b.now.Add(10 * time.Millisecond)
		}
	}
	send(350)
	for _, quiet := range []time.Duration{5 * time.Second, 20 * time.Second} {
		for range 10 {
			b.now = b.now.Add(quiet / 10)
			b.receiver.dueKeyframeRequests(b.now, false)
			check("in a silence")
		}
		send(20)
		check("after a silence")
		send(280)
		check("later")
	}
}

// A browser without a camera cannot answer the requests of viewers.
func TestRequestsInASilenceAreNotHeldAgainstAnEncoder(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	n, key := 0, true
	send := func() {
		for range 600 {
			p := video(firefoxVideo, uint16(n), uint32(n)*900, n+1)
			if key {
				p.Payload = vp8(true, n)
			}
			b.take(p)
			out, _ := b.receiver.dueKeyframeRequests(b.now, false)
			key = pictureLosses(out) > 0
			n++
			b.now = b.now.Add(10 * time.Millisecond)
		}
	}
	send()
	for range 9 {
		b.now = b.now.Add(time.Second)
		b.publication.Writer(siaran.KindVideo, "").Layer().RequestKeyframe()
		b.receiver.dueKeyframeRequests(b.now, true)
	}
	send()
	h := Health{Connected: true, Layers: b.receiver.health(b.now)}
	h.warn()
	warned := slices.ContainsFunc(h.Warnings, func(w Warning) bool { return w.Code == "keyframes" })
	if l := h.Layers[0]; warned || l.KeyframeRequests < 8 || l.KeyframesAnswered != 1 {
		t.Errorf("%+v, %v", l, h.Warnings)
	}
}

func pictureLosses(out []rtcp.Packet) int {
	n := 0
	for _, p := range out {
		if is[*rtcp.PictureLossIndication](p) {
			n++
		}
	}
	return n
}

func TestFullIntraRequests(t *testing.T) {
	b := newBench(t, replace(t, readOffer(t, "whip-firefox"), "a=rtcp-fb:120 nack pli\r\n", ""))
	b.take(video(firefoxVideo, 1, 0, 1))
	out, _ := b.receiver.dueKeyframeRequests(b.now, false)
	if !slices.ContainsFunc(out, is[*rtcp.FullIntraRequest]) || pictureLosses(out) != 0 {
		t.Errorf("said %v", out)
	}
}

// FuzzReceiver gives the receiver any bytes as RTP and RTCP.
func FuzzReceiver(f *testing.F) {
	seed := func(packets ...*rtp.Packet) {
		var all []byte
		for _, p := range packets {
			data, err := p.Marshal()
			if err != nil {
				f.Fatal(err)
			}
			all = append(all, byte(len(data)))
			all = append(all, data...)
		}
		f.Add(all)
	}
	seed(video(firefoxVideo, 65535, 0, 0), video(firefoxVideo, 1, 6000, 2),
		repairOf(firefoxRepair, 9, video(firefoxVideo, 0, 3000, 1)))
	padded := must(video(firefoxVideo, 2, 0, 0).Marshal())
	padded[0] |= 0x20
	f.Add(append([]byte{byte(len(padded))}, padded...))
	seed(video(9, 1, 1, 1), video(9, 40000, 1, 1), video(9, 40001, 1, 1))
	withMid := video(7, 1, 1, 0)
	_ = withMid.SetExtension(3, []byte("0"))
	_ = withMid.SetExtension(7, []byte{0, 1})
	seed(withMid)
	sr, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: firefoxVideo, NTPTime: 1 << 63, RTPTime: 5}})
	f.Add(append([]byte{byte(len(sr))}, sr...))
	offer := readOffer(f, "whip-firefox")
	f.Fuzz(func(t *testing.T, all []byte) {
		b := newBench(t, offer)
		for len(all) > 1 {
			n := min(int(all[0]), len(all)-1)
			data := bytes.Clone(all[1 : 1+n])
			all = all[1+n:]
			b.now = b.now.Add(3 * time.Millisecond)
			if len(data) > 1 && data[1] >= 192 && data[1] <= 223 {
				b.receiver.rtcp(data, b.now)
			} else {
				b.receiver.rtp(data, b.now)
			}
			out, _ := b.receiver.dueFeedback(b.now, &b.times)
			keys, _ := b.receiver.dueKeyframeRequests(b.now, true)
			for _, packets := range b.receiver.datagrams(append(out, keys...)) {
				if _, err := rtcp.Marshal(packets); err != nil {
					t.Fatalf("%v cannot be sent: %v", packets, err)
				}
			}
		}
		b.pass(maxWait)
		b.receiver.health(b.now)
		last := int64(-1)
		for _, p := range b.packets(siaran.KindVideo, "") {
			if p.Seq <= last || len(p.Payload) == 0 {
				t.Fatalf("packet %d after %d", p.Seq, last)
			}
			last = p.Seq
		}
	})
}

// BenchmarkReceive is the way of a packet from its decryption to the hub.
func BenchmarkReceive(b *testing.B) {
	x := newBench(b, readOffer(b, "whip-firefox"))
	p := video(firefoxVideo, 0, 0, 0)
	p.Payload = append(p.Payload, make([]byte, 1100)...)
	_ = p.SetExtension(3, []byte("0"))
	_ = p.SetExtension(7, []byte{0, 0})
	data, err := p.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	seq := 0
	for b.Loop() {
		seq++
		binary.BigEndian.PutUint16(data[2:], uint16(seq))
		binary.BigEndian.PutUint32(data[4:], uint32(seq/40)*3000)
		x.now = x.now.Add(700 * time.Microsecond)
		x.receiver.rtp(data, x.now)
		if seq%140 == 0 {
			x.receiver.dueFeedback(x.now, &x.times)
		}
	}
}
