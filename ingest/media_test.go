package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran/internal/sdp"
	"siaran/internal/testutil"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran"
)

// losses drops every seventh packet of media once, and every third of those twice.
type losses struct {
	mu    sync.Mutex
	times map[uint16]int
}

func (l *losses) drop(b []byte) bool {
	seq, media := isMedia(b)
	if !media || seq == 0 || seq%7 != 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times[seq]++
	most := 1
	if seq%21 == 0 {
		most = 2
	}
	return l.times[seq] <= most
}

// TestLossIsRepaired has a broadcaster that resends on the same SSRC, as OBS does.
func TestLossIsRepaired(t *testing.T) {
	s := start(t, nil)
	var registry interceptor.Registry
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	registry.Add(responder)
	drops := losses{times: make(map[uint16]int)}
	_, setting := onBadNetwork(t, drops.drop)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, noAudio: true, setting: setting,
		registry: &registry})
	const frames = 702 // and no loss at the very end, which nothing would show
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := range frames {
		if err := b.video.WriteRTP(rtpPacket(uint16(n), uint32(n)*3000, true, vp8(n == 0, n))); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	layer := s.live(t, "cats").Video().Layers[0]
	first := layer.Tail()
	testutil.Eventually(t, "the last packet", func() bool { return layer.Head() == first+frames })
	lost := 0
	for n := range frames {
		if p := layer.Get(first + int64(n)); p == nil {
			lost++
		} else if !bytes.Equal(p.Payload, vp8(n == 0, n)) {
			t.Fatalf("packet %d is %x", n, p.Payload)
		}
	}
	h, _ := s.Health("cats")
	// A machine that is busy with other things may be later than a packet is waited for.
	if l := h.Layers[0]; lost > frames/7/4 || l.Recovered < frames/7*3/4 || l.Asked < l.Recovered {
		t.Errorf("%d lost, health is %+v", lost, l)
	}
}

// withRIDs turns the video of a pion offer into simulcast as OBS offers it: SSRCs undeclared.
func withRIDs(rids ...string) func(string) string {
	return func(offer string) string {
		audio, video, _ := strings.Cut(offer, "m=video")
		var lines []string
		for line := range strings.SplitSeq("m=video"+video, "\r\n") {
			if line != "" && !strings.HasPrefix(line, "a=ssrc") {
				lines = append(lines, line)
			}
		}
		for _, r := range rids {
			lines = append(lines, "a=rid:"+r+" send")
		}
		lines = append(lines, "a=simulcast:send "+strings.Join(rids, ";"), "")
		return audio + strings.Join(lines, "\r\n")
	}
}

// ids are the extension ids of the video section of an answer.
func ids(t testing.TB, answer []byte) map[string]uint8 {
	t.Helper()
	_, video, _ := strings.Cut(string(answer), "m=video")
	list := make(map[string]uint8)
	for line := range strings.SplitSeq(video, "\r\n") {
		var id uint8
		var uri string
		if n, _ := fmt.Sscanf(line, "a=extmap:%d %s", &id, &uri); n == 2 {
			list[uri] = id
		}
	}
	return list
}

// layerPacket is a packet of a simulcast layer with mid and rid.
func layerPacket(t testing.TB, ids map[string]uint8, ssrc uint32, pt uint8, ridURI, rid string,
	p *rtp.Packet) *rtp.Packet {
	t.Helper()
	p.SSRC, p.PayloadType = ssrc, pt
	if err := p.SetExtension(ids[uriMid], []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := p.SetExtension(ids[ridURI], []byte(rid)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSimulcast(t *testing.T) {
	s := start(t, nil)
	rids := []string{"0", "1", "2"}
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, raw: true, offer: withRIDs(rids...)})
	if !strings.Contains(string(b.answer.SDP), "a=simulcast:recv 0;1;2\r\n") {
		t.Fatalf("answer is\n%s", b.answer.SDP)
	}
	id := ids(t, b.answer.SDP)
	<-b.raw.bound
	const frames = 50
	tick := time.NewTicker(time.Millisecond) // or the socket's buffer overflows
	defer tick.Stop()
	for n := range frames {
		<-tick.C
		for i, rid := range rids {
			p := rtpPacket(uint16(n), uint32(n)*3000, true, vp8(n == 0, n*10+i))
			b.raw.write(t, layerPacket(t, id, uint32(1000+i), b.raw.pt, uriRID, rid, p))
		}
	}
	live := s.live(t, "cats")
	if n := len(live.Video().Layers); n != len(rids) {
		t.Fatalf("%d layers", n)
	}
	for i, l := range live.Video().Layers {
		if l.RID() != rids[i] {
			t.Errorf("layer %d has rid %q", i, l.RID())
		}
		for n, p := range follow(t, l, frames) { // from the very first packet on
			if !bytes.Equal(p.Payload, vp8(n == 0, n*10+i)) {
				t.Fatalf("layer %q: packet %d is %x", l.RID(), n, p.Payload)
			}
		}
	}
}

// TestRetransmissionStream has a broadcaster that repairs on another SSRC, of which only the rid is told (RFC 4588,
// 8852).
func TestRetransmissionStream(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, raw: true, offer: withRIDs("h", "l")})
	id := ids(t, b.answer.SDP)
	<-b.raw.bound
	rtx := repairType(t, b.answer.SDP, b.raw.pt)
	const frames = 40
	send := func(n int) {
		b.raw.write(t, layerPacket(t, id, 1000, b.raw.pt, uriRID, "h",
			rtpPacket(uint16(n), uint32(n)*3000, true, vp8(n == 0, n))))
	}
	for n := range frames {
		if n%10 != 5 {
			send(n)
			continue
		}
		send(n + 1) // out of order, so that it shows what is missing
		repair := append(binary.BigEndian.AppendUint16(nil, uint16(n)), vp8(false, n)...)
		b.raw.write(t, layerPacket(t, id, 2000, rtx, uriRepairedRID, "h",
			rtpPacket(uint16(700+n), uint32(n)*3000, true, repair)))
	}
	layer := s.live(t, "cats").Video().Layers[0]
	first := layer.Tail()
	testutil.Eventually(t, "the last packet", func() bool { return layer.Head() == first+frames })
	lost := 0
	for n := range frames {
		if p := layer.Get(first + int64(n)); p == nil {
			lost++
		} else if !bytes.Equal(p.Payload, vp8(n == 0, n)) || !p.Marker {
			t.Fatalf("packet %d is %x", n, p.Payload)
		}
	}
	if lost == frames/10 { // some may come late on a machine that is busy with other things
		t.Error("no packet has come by retransmission")
	}
}

func repairType(t testing.TB, answer []byte, pt uint8) uint8 {
	t.Helper()
	for line := range strings.SplitSeq(string(answer), "\r\n") {
		var rtx uint8
		if n, _ := fmt.Sscanf(line, "a=fmtp:%d", &rtx); n == 1 && strings.HasSuffix(line, fmt.Sprintf(" apt=%d", pt)) {
			return rtx
		}
	}
	t.Fatalf("no retransmissions for %d in\n%s", pt, answer)
	return 0
}

// listen collects what the server says about video.
func (b *broadcaster) listen() (count func(match func(rtcp.Packet) bool) int) {
	var mu sync.Mutex
	var heard []rtcp.Packet
	go func() { // ends with the sender
		for {
			packets, _, err := b.sender.ReadRTCP()
			if err != nil {
				return
			}
			mu.Lock()
			heard = append(heard, packets...)
			mu.Unlock()
		}
	}()
	return func(match func(rtcp.Packet) bool) int {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, p := range heard {
			if match(p) {
				n++
			}
		}
		return n
	}
}

func is[T rtcp.Packet](p rtcp.Packet) bool {
	_, ok := p.(T)
	return ok
}

func TestKeyframeRequestsAreMerged(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, deaf: true})
	heard := b.listen()
	defer b.sendFrames()()
	layer := s.live(t, "cats").Video().Layers[0]
	testutil.Eventually(t, "a report", func() bool { return heard(is[*rtcp.ReceiverReport]) > 0 })
	before := heard(is[*rtcp.PictureLossIndication])
	began := time.Now()
	for time.Since(began) < 1200*time.Millisecond {
		layer.RequestKeyframe()
		time.Sleep(time.Millisecond)
	}
	testutil.Eventually(t, "the requests", func() bool { return heard(is[*rtcp.PictureLossIndication]) > before })
	// One from before may be heard only now.
	if n := heard(is[*rtcp.PictureLossIndication]) - before; n > 2+int(time.Since(began)/keyframeWait) {
		t.Errorf("%d requests in %v", n, time.Since(began))
	}
}

func TestFirstKeyframeIsAskedFor(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, deaf: true})
	heard := b.listen()
	n := 0
	testutil.Eventually(t, "a request for a key frame", func() bool {
		if err := b.video.WriteRTP(rtpPacket(uint16(n), uint32(n)*450, true, vp8(false, n))); err != nil {
			t.Fatal(err)
		}
		n++
		return heard(is[*rtcp.PictureLossIndication]) > 0
	})
}

func TestTransportWideFeedback(t *testing.T) {
	s := start(t, nil)
	var registry interceptor.Registry
	writer, err := twcc.NewHeaderExtensionInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	registry.Add(writer)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, deaf: true, registry: &registry,
		engine: func(e *webrtc.MediaEngine) {
			for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
				e.RegisterFeedback(webrtc.RTCPFeedback{Type: "transport-cc"}, kind)
				if err := e.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.URINumber}, kind); err != nil {
					t.Fatal(err)
				}
			}
		}})
	heard := b.listen()
	defer b.sendFrames()()
	s.live(t, "cats")
	testutil.Eventually(t, "feedback", func() bool { return heard(is[*rtcp.TransportLayerCC]) > 2 })
}

func TestSenderReportsSetTheClock(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, raw: true})
	<-b.raw.bound
	ssrc := uint32(b.sender.GetParameters().Encodings[0].SSRC)
	for n := range 20 {
		p := rtpPacket(uint16(n), uint32(90000+n*3000), true, vp8(n == 0, n))
		p.SSRC, p.PayloadType = ssrc, b.raw.pt
		b.raw.write(t, p)
	}
	layer := s.live(t, "cats").Video().Layers[0]
	packets := follow(t, layer, 20)
	// The broadcaster's clock is in 1990, and its reports say that timestamp 90000 was an hour after a full one.
	const ntp = uint64(2840140800) << 32
	report := func(seconds uint64, timestamp uint32) {
		if err := b.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: ssrc, NTPTime: ntp + seconds<<32,
			RTPTime: timestamp}}); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := layer.Clock()
	report(0, 90000)
	var first siaran.Clock
	testutil.Eventually(t, "the first report", func() bool { first, _ = layer.Clock(); return first != before })
	if first.Timestamp != packets[0].Timestamp || time.Since(first.Wall) > time.Minute {
		t.Errorf("clock is %+v, first packet %d", first, packets[0].Timestamp)
	}
	report(1, 90000+90000)
	var second siaran.Clock
	testutil.Eventually(t, "the second report", func() bool { second, _ = layer.Clock(); return second != first })
	if second.Wall.Sub(first.Wall) != time.Second || second.Timestamp-first.Timestamp != 90000 {
		t.Errorf("clock went from %+v to %+v", first, second)
	}
}

func TestPaddingLeavesNoGap(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8, raw: true})
	<-b.raw.bound
	ssrc := uint32(b.sender.GetParameters().Encodings[0].SSRC)
	const frames = 30
	for seq := range 3 * frames {
		p := rtpPacket(uint16(seq), uint32(seq/3)*3000, true, vp8(seq == 0, seq/3))
		p.SSRC, p.PayloadType = ssrc, b.raw.pt
		switch seq % 3 {
		case 1: // padding alone
			p.Padding, p.Payload = true, append(make([]byte, 99), 100)
		case 2: // padding alone, all of it in one byte
			p.Padding, p.Payload = true, []byte{1}
		default:
			if seq > 0 { // padding behind the payload
				p.Padding, p.Payload = true, append(p.Payload, 0, 0, 3)
			}
		}
		b.raw.write(t, p)
	}
	got := follow(t, s.live(t, "cats").Video().Layers[0], frames)
	for i, p := range got {
		if p.Seq != got[0].Seq+int64(i) || !bytes.Equal(p.Payload, vp8(i == 0, i)) {
			t.Fatalf("packet %d has number %d, payload %x", i, p.Seq-got[0].Seq, p.Payload)
		}
	}
}

func TestHealthWarnsOfBFrames(t *testing.T) {
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	for n := range 60 {
		shown := n
		switch n % 3 { // I P B order: 0 2 1, 3 5 4, ...
		case 1:
			shown++
		case 2:
			shown--
		}
		if err := b.video.WriteRTP(rtpPacket(uint16(n), uint32(shown)*3000, true, vp8(n == 0, n))); err != nil {
			t.Fatal(err)
		}
	}
	testutil.Eventually(t, "the warning", func() bool {
		h, _ := s.Health("cats")
		for _, w := range h.Warnings {
			if w.Code == "b-frames" {
				return true
			}
		}
		return false
	})
}
