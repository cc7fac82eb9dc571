package egress

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/testutil"
	"siaran/mediaport"
)

const (
	worldStep   = 4 * time.Millisecond
	worldFrame  = 33 * time.Millisecond // of content
	worldTurn   = 36 * time.Millisecond // from frame to frame
	worldSound  = 20 * time.Millisecond
	worldReport = 50 * time.Millisecond
	worldAnswer = 80 * time.Millisecond // from the request to the key frame
	payloadMost = 1100
)

// encoder is one layer of the broadcaster's.
type encoder struct {
	writer   *siaran.Writer
	rate     float64 // bits a second
	temporal []uint8 // of the frames, in turn
	silent   bool
	deaf     bool // it gives no key frames on request
	every    int  // frames from key frame to key frame; 0: none

	seq, stamp int64
	frame      uint32
	picture    uint16
	tl0        uint8
	wanted     time.Time
	newest     [3]uint32 // number of the newest frame, by temporal layer
	since      int
}

// world is a worker with one viewer behind a bottleneck, on a clock that the test moves. The packets go through the
// socket; the bottleneck is a queue in the test.
type world struct {
	t        *testing.T
	start    time.Time
	now      time.Time
	w        *worker
	v        *viewer
	video    *track
	sink     *net.UDPConn
	in       *srtp.Context
	encoders []*encoder
	sound    *siaran.Writer
	soundSeq int64
	random   *rand.Rand

	carries func(at time.Duration) float64 // bits a second
	rate    float64                        // that it carries now
	most    time.Duration                  // queue, beyond which packets are lost
	delay   time.Duration                  // of the path, one way
	jitter  time.Duration                  // most, of each packet; keeps the order
	loss    float64                        // of packets, at random
	free    time.Time                      // when the bottleneck has sent all it has
	last    time.Time                      // arrival
	transit []arrival
	twcc    *twcc.Recorder
	reports []arrival // on their way back
	stands  stands    // what stands still
	awake   time.Time // since when the viewer does not
	quiet   bool      // there is no sound

	nextFrame, nextSound, nextReport, nextTick time.Time
	read                                       uint64
	newest                                     uint16 // number that was sent
	cut                                        bool   // that packet was not the last of its frame
	sent                                       int    // bytes
	firstRTX                                   int64
	nextLoss                                   time.Time
	lies                                       func([]byte) []byte // what the viewer makes of its feedback
	cycles                                     uint32

	// What the viewer has seen.
	decoder
	queue    time.Duration // the longest
	soundAt  time.Time
	soundGap time.Duration
	layers   []int // by 100 ms
}

type arrival struct {
	left, at time.Time // when it left the bottleneck, and arrived
	b        []byte
}

// stands says what gets no turn. What has come in the meantime is taken all at once afterwards.
type stands struct{ server, viewer, reports bool }

// decoder checks what a viewer gets.
type decoder struct {
	numbered     bool // pictures have continuous ids
	rough        bool // timestamps may move by much
	t            *testing.T
	begun        bool
	seq          uint16
	timestamp    uint32
	picture      uint16
	tl0          uint8
	have         map[[2]uint32]bool // layer, frame
	layer        int
	at           time.Time     // of the newest frame
	gap          time.Duration // the longest between two
	frames       int
	lost, breaks int
	missing      map[uint16]bool // lost on the path
	frozen       time.Duration   // what gaps were longer than half a second
	temporal     [3]int
}

// model is for tests that run a world. The race detector makes them ten times as slow, and has nothing to see: one
// goroutine, on a clock of its own. .ci/test runs what is called TestModel without it.
func model(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("models run without the race detector")
	}
}

func newWorld(t *testing.T, carries func(time.Duration) float64, numbered bool, encoders ...*encoder) *world {
	t.Helper()
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{NoGSO: true})
	if err != nil {
		t.Fatal(err)
	}
	hub := siaran.NewHub(time.Minute, codec.NewFramer)
	t.Cleanup(func() { hub.Close(); socket.Close() })
	var rids []string
	for i := range encoders {
		rids = append(rids, string(rune('a'+i)))
	}
	if len(rids) == 1 {
		rids = nil
	}
	vp8 := siaran.Codec{Name: siaran.VP8, ClockRate: 90000}
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}}, {Codec: vp8, RIDs: rids},
	})
	if err != nil {
		t.Fatal(err)
	}
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	if err := sink.SetReadBuffer(8 << 20); err != nil {
		t.Fatal(err)
	}
	l := testLink(socket, "r", "p")
	proveAt(l, sink.LocalAddr().(*net.UDPAddr).AddrPort()).Prove(time.Now().Add(24 * time.Hour))
	const profile = srtp.ProtectionProfileAeadAes128Gcm
	l.media, l.out = mediaSealer(t, profile), sealer(t, profile)
	start := time.Now()
	x := &world{
		t: t, start: start, now: start, sink: sink, in: sealer(t, profile), encoders: encoders, carries: carries,
		most: time.Second, delay: 20 * time.Millisecond, free: start,
		twcc: twcc.NewRecorder(1), random: rand.New(rand.NewPCG(1, 2)),
		w: newWorker(socket, 0, defaultBurst, new(drops)), sound: pub.Writer(siaran.KindAudio, ""),
		decoder: decoder{t: t, have: make(map[[2]uint32]bool), missing: make(map[uint16]bool), layer: -1},
	}
	for i, e := range encoders {
		rid := ""
		if rids != nil {
			rid = rids[i]
		}
		e.writer = pub.Writer(siaran.KindVideo, rid)
		e.seq, e.stamp, e.picture, e.tl0 = 100*int64(i), 1e6*int64(i), uint16(5000*i), uint8(77*i)
		if len(e.temporal) == 0 {
			e.temporal = []uint8{0}
		}
	}
	x.run(3 * time.Second) // so that rates are known
	b := pub.Broadcast()
	id := uint8(0)
	stamp := uint8(0)
	if numbered {
		id = 3
	} else {
		stamp = 4
	}
	choice := hasChoice(b.Video(), false)
	x.decoder.numbered = choice
	x.v = newViewer(l, []plan{
		{Kind: siaran.KindAudio, ClockRate: 48000, Layers: b.Audio().Layers, PayloadType: 111, SSRC: 1, NumberID: id,
			Choice: choice},
		{Kind: siaran.KindVideo, ClockRate: 90000, Layers: b.Video().Layers, PayloadType: 96, SSRC: 2, NumberID: id,
			StampID: stamp, RTXPayloadType: 97, RTXSSRC: 3, Choice: choice},
	}, nil)
	x.video = x.v.tracks[1]
	x.firstRTX = x.video.rtxSeq
	go func() { (<-x.w.commands)() }()
	x.w.add(x.v)
	return x
}

// run lets time pass.
func (x *world) run(long time.Duration) {
	x.t.Helper()
	for end := x.now.Add(long); x.now.Before(end); x.now = x.now.Add(worldStep) {
		x.changeRate()
		if x.stands.server {
			x.receive()
			continue
		}
		for len(x.reports) > 0 && !x.reports[0].at.After(x.now) && !x.stands.reports {
			x.v.handleCompound(x.w, x.reports[0].b, x.now)
			x.reports = x.reports[1:]
		}
		x.encode()
		if x.v == nil {
			continue
		}
		if !x.now.Before(x.nextTick) {
			x.nextTick = x.now.Add(tickInterval)
			x.w.tick(x.now)
			x.layers = append(x.layers, x.layer)
		}
		x.w.serve(x.now)
		x.w.batch.Flush()
		x.receive()
	}
}

func (x *world) encode() {
	for !x.now.Before(x.nextFrame) {
		if x.nextFrame = x.nextFrame.Add(worldTurn); x.nextFrame.Before(x.start) {
			x.nextFrame = x.now.Add(worldTurn)
		}
		for i, e := range x.encoders {
			x.encodeFrame(i, e)
		}
	}
	for !x.quiet && !x.now.Before(x.nextSound) {
		if x.nextSound = x.nextSound.Add(worldSound); x.nextSound.Before(x.start) {
			x.nextSound = x.now.Add(worldSound)
		}
		x.soundSeq++
		if err := x.sound.Write(x.soundSeq, x.soundSeq*960, false, make([]byte, 80), x.now); err != nil {
			x.t.Fatal(err)
		}
	}
}

// encodeFrame writes a frame that says in its payload which layer, frame, and frame needed it is.
func (x *world) encodeFrame(i int, e *encoder) {
	if e.writer.KeyframeWanted() && e.wanted.IsZero() && !e.deaf {
		e.wanted = x.now.Add(worldAnswer)
	}
	e.stamp += 2970
	if e.silent {
		return
	}
	key := e.frame == 0 || !e.wanted.IsZero() && !x.now.Before(e.wanted) || e.every > 0 && e.since >= e.every
	if key {
		e.wanted, e.since = time.Time{}, 0
	}
	tid := e.temporal[e.since%len(e.temporal)]
	e.since++
	needs := e.newest[0]
	if tid == 2 {
		needs = max(e.newest[0], e.newest[1])
	}
	e.frame++
	e.picture++
	if tid == 0 {
		e.tl0++
	}
	e.newest[tid] = e.frame
	size := int(e.rate / 8 * worldFrame.Seconds() * (0.7 + 0.6*x.random.Float64()))
	if key {
		size *= 5
	}
	packets := size/payloadMost + 1
	for n := range packets {
		b := make([]byte, max(60, size/packets))
		b[0] = 0x80
		if n == 0 {
			b[0] |= 0x10
		}
		b[1] = 0xe0 // picture id, TL0PICIDX, TID
		binary.BigEndian.PutUint16(b[2:], 1<<15|e.picture&0x7fff)
		b[4], b[5] = e.tl0, tid<<6
		if tid > 0 && needs == e.newest[0] {
			b[5] |= 0x20 // it needs the base layer alone
		}
		if b[6] = 1; key && n == 0 {
			width := byte(40 * (i + 1))
			copy(b[6:], []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, width, 0, width, 0})
		}
		b[20] = byte(i)
		b[21] = tid
		binary.BigEndian.PutUint32(b[24:], e.frame)
		binary.BigEndian.PutUint32(b[28:], needs)
		if key {
			binary.BigEndian.PutUint32(b[28:], 0)
		}
		b[32], b[33] = byte(n), byte(packets)
		if err := e.writer.Write(e.seq, e.stamp, n == packets-1, b, x.now); err != nil {
			x.t.Fatal(err)
		}
		e.seq++
	}
}

// receive takes what was sent through the bottleneck, and reports.
func (x *world) receive() {
	buf := make([]byte, mediaport.MaxDatagram)
	for sent := uint64(x.video.rtxSeq-x.firstRTX) + x.w.packets; x.read < sent; {
		_ = x.sink.SetReadDeadline(time.Now().Add(testutil.Patience))
		n, err := x.sink.Read(buf)
		if err != nil {
			x.t.Fatal(err)
		}
		if buf[0] < 128 || buf[1] >= 200 && buf[1] <= 206 {
			continue // STUN or RTCP
		}
		x.read++
		plain, err := x.in.DecryptRTP(nil, buf[:n], nil)
		if err != nil {
			x.t.Fatal(err)
		}
		x.sent += n + 28
		x.enter(plain, n+28)
	}
	if x.stands.viewer {
		x.awake = x.now
		return
	}
	for len(x.transit) > 0 && !x.transit[0].at.After(x.now) {
		at := x.transit[0].at
		if at.Before(x.awake) {
			at = x.awake
		}
		x.arrive(at, x.transit[0].b)
		x.transit = x.transit[1:]
	}
	if x.now.Before(x.nextReport) {
		return
	}
	x.nextReport = x.now.Add(worldReport)
	if x.video.NumberID == 0 && x.begun {
		x.reportLoss()
	}
	for _, p := range x.twcc.BuildFeedbackPacket() {
		b, err := p.Marshal()
		if err != nil {
			x.t.Fatal(err)
		}
		if x.lies != nil {
			b = x.lies(b)
		}
		x.report(b)
	}
}

func (x *world) report(b []byte) {
	x.reports = append(x.reports, arrival{at: x.now.Add(x.delay), b: b})
}

// reportLoss sends a receiver report, once a second.
func (x *world) reportLoss() {
	if x.now.Before(x.nextLoss) {
		return
	}
	x.nextLoss = x.now.Add(time.Second)
	b, err := (&rtcp.ReceiverReport{SSRC: 9, Reports: []rtcp.ReceptionReport{{
		SSRC: 2, LastSequenceNumber: x.cycles<<16 | uint32(x.seq), TotalLost: uint32(len(x.missing)),
		LastSenderReport: uint32(ntp(x.now.Add(-x.delay-max(0, x.free.Sub(x.now)))) >> 16),
	}}}).Marshal()
	if err != nil {
		x.t.Fatal(err)
	}
	x.report(b)
}

// enter puts a packet into the bottleneck.
func (x *world) enter(b []byte, size int) {
	x.number(b)
	wait := max(0, x.free.Sub(x.now))
	x.queue = max(x.queue, wait)
	if wait > x.most || x.loss > 0 && x.random.Float64() < x.loss {
		x.lost++
		if b[1]&0x7f == 96 {
			x.missing[binary.BigEndian.Uint16(b[2:])] = true
		}
		return
	}
	x.free = x.now.Add(wait + time.Duration(float64(size*8)/x.rate*1e9))
	at := x.free.Add(x.delay)
	if x.jitter > 0 {
		at = at.Add(time.Duration(x.random.Int64N(int64(x.jitter))))
	}
	if at.Before(x.last) {
		at = x.last
	}
	x.last = at
	x.transit = append(x.transit, arrival{x.free, at, b})
}

// number looks at the number of a packet that was sent. One may be left out behind a frame that was not sent whole.
func (x *world) number(b []byte) {
	if b[1]&0x7f != 96 {
		return
	}
	n := binary.BigEndian.Uint16(b[2:])
	if x.cut && n == x.newest+2 {
		x.missing[n-1] = true
	}
	if int16(n-x.newest) > 0 {
		x.newest, x.cut = n, b[1]&0x80 == 0
	}
}

// changeRate makes what is in the bottleneck leave at the rate of the moment.
func (x *world) changeRate() {
	rate := x.carries(x.now.Sub(x.start))
	if rate == x.rate {
		return
	}
	stretch := func(t *time.Time) (by time.Duration) {
		if left := t.Sub(x.now); left > 0 {
			by = time.Duration(float64(left)*x.rate/rate) - left
			*t = t.Add(by)
		}
		return by
	}
	for i := range x.transit {
		x.transit[i].at = x.transit[i].at.Add(stretch(&x.transit[i].left))
		x.last = x.transit[i].at
	}
	stretch(&x.free)
	x.rate = rate
}

func (x *world) arrive(at time.Time, b []byte) {
	var p rtp.Packet
	if err := p.Unmarshal(b); err != nil {
		x.t.Fatal(err)
	}
	if e := p.GetExtension(3); len(e) == 2 {
		x.twcc.Record(1, binary.BigEndian.Uint16(e), at.Sub(x.start).Microseconds()+1e9)
	}
	if x.video.StampID != 0 && p.PayloadType != 111 {
		x.checkStamp(p.GetExtension(4), at)
	}
	switch p.PayloadType {
	case 111:
		if !x.soundAt.IsZero() {
			x.soundGap = max(x.soundGap, at.Sub(x.soundAt))
		}
		x.soundAt = at
	case 96:
		if p.SequenceNumber < 1000 && x.seq > 60000 {
			x.cycles++
		}
		x.take(&p, at)
		if !x.begun { // a receiver asks for it
			x.v.wantKeyframe(x.w, 2, x.now)
		}
	}
}

// checkStamp checks the time of sending in a packet that arrives now: seconds modulo 64, and 18 bits of their fraction.
func (x *world) checkStamp(b []byte, at time.Time) {
	x.t.Helper()
	if len(b) != 3 {
		x.t.Fatalf("the time of sending is % x", b)
	}
	now, stamp := ntp(at)>>14&0xffffff, uint64(b[0])<<16|uint64(b[1])<<8|uint64(b[2])
	if way := time.Duration((now-stamp)&0xffffff) * time.Second >> 18; way < x.delay || way > x.delay+10*time.Second {
		x.t.Fatalf("a packet has been under way for %v", way)
	}
}

// take checks a packet of video.
func (d *decoder) take(p *rtp.Packet, at time.Time) {
	d.t.Helper()
	b := p.Payload
	layer, tid := int(b[20]), b[21]
	frame, needs := binary.BigEndian.Uint32(b[24:]), binary.BigEndian.Uint32(b[28:])
	picture := binary.BigEndian.Uint16(b[2:]) & 0x7fff
	first, last := b[32] == 0, b[32]+1 == b[33]
	if !d.begun {
		if needs != 0 || !first {
			return // not a key frame
		}
		d.begun, d.seq, d.picture, d.tl0 = true, p.SequenceNumber-1, picture-1, b[4]-1
		d.timestamp = p.Timestamp - 1
	}
	for n := d.seq + 1; n != p.SequenceNumber; n++ {
		if !d.missing[n] {
			d.t.Fatalf("number %d after %d", p.SequenceNumber, d.seq)
		}
		d.begun = false
	}
	if !d.begun {
		d.breaks++
		d.take(p, at)
		return
	}
	d.seq = p.SequenceNumber
	if first && d.numbered {
		if picture != (d.picture+1)&0x7fff {
			d.t.Errorf("picture %d after %d, temporal layer %d of layer %d", picture, d.picture, tid, layer)
		}
		if want := d.tl0 + 1; tid == 0 && b[4] != want || tid > 0 && b[4] != d.tl0 {
			d.t.Errorf("TL0PICIDX %d after %d in temporal layer %d", b[4], d.tl0, tid)
		}
	}
	if first {
		if step := int32(p.Timestamp - d.timestamp); step <= 0 || step > 5*90000 && !d.rough {
			d.t.Errorf("the timestamp moves by %d", step)
		}
		if needs != 0 && !d.have[[2]uint32{uint32(layer), needs}] {
			d.t.Errorf("frame %d of layer %d needs %d, which has not come", frame, layer, needs)
		}
		d.picture, d.tl0, d.timestamp = picture, b[4], p.Timestamp
	}
	if last != p.Marker {
		d.t.Errorf("packet %d of %d has the marker: %v", b[32], b[33], p.Marker)
	}
	if last {
		d.have[[2]uint32{uint32(layer), frame}] = true
		if !d.at.IsZero() {
			d.gap = max(d.gap, at.Sub(d.at))
			d.frozen += max(0, at.Sub(d.at)-500*time.Millisecond)
		}
		d.at, d.layer = at, layer
		d.frames++
		d.temporal[tid]++
	}
}

// measure forgets what has been measured so far.
func (x *world) measure() {
	x.gap, x.queue, x.soundGap, x.frames, x.layers, x.temporal, x.frozen = 0, 0, 0, 0, nil, [3]int{}, 0
}

func steady(bits float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return bits }
}

func three() []*encoder { return []*encoder{{rate: 150e3}, {rate: 500e3}, {rate: 2500e3}} }

// expect checks a condition, and shows what the viewer has seen where it does not hold.
func (x *world) expect(ok bool, what string) {
	x.t.Helper()
	if ok {
		return
	}
	layers := make([]byte, 0, len(x.layers))
	for _, l := range x.layers {
		layers = append(layers, "-012"[l+1])
	}
	x.t.Errorf("not so: %s\nlayer %d (by 100 ms: %s), frames %v, longest gap %v, frozen %v, queue %v, sound gap %v, "+
		"lost %d, breaks %d", what, x.layer, layers, x.temporal, x.gap, x.frozen, x.queue, x.soundGap, x.lost, x.breaks)
	if x.video.sel != nil {
		x.t.Logf("target %d, aim %+v", x.v.estimate.Target(), x.video.sel.aim)
	}
}

// reaches lets time pass until the viewer gets a layer.
func (x *world) reaches(layer int, within time.Duration) {
	x.t.Helper()
	for end := x.now.Add(within); x.layer != layer; x.run(tickInterval) {
		if !x.now.Before(end) {
			x.expect(false, fmt.Sprintf("layer %d within %v", layer, within))
			return
		}
	}
}
