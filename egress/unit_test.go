package egress

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"siaran"
)

func TestSequencerFromManyStarts(t *testing.T) {
	a, b := new(siaran.Layer), new(siaran.Layer)
	for _, start := range []int64{0, 1, 1<<15 - 3, 1<<16 - 5, 1<<16 - 1, 1 << 16, 3<<16 - 2} {
		s := sequencer{next: start}
		s.jump(a, 100)
		for in := int64(100); in < 110; in++ {
			if in == 105 {
				continue // lost before it came here: the viewer is to see the gap
			}
			if out := s.assign(in); out != start+in-100 {
				t.Fatalf("start %d: %d went out as %d", start, in, out)
			}
		}
		s.jump(a, 200) // skipped: the viewer sees no gap
		if out := s.assign(200); out != start+10 {
			t.Fatalf("start %d: after the skip %d, want %d", start, out, start+10)
		}
		s.jump(b, 7)
		s.assign(7)
		for _, c := range []struct {
			out   int64
			layer *siaran.Layer
			in    int64
		}{{start, a, 100}, {start + 9, a, 109}, {start + 10, a, 200}, {start + 11, b, 7}} {
			layer, in, out, ok := s.find(uint16(c.out))
			if !ok || layer != c.layer || in != c.in || out != c.out {
				t.Errorf("start %d: number %d is %d of %p, ok %v; want %d of %p", start, c.out, in, layer, ok, c.in, c.layer)
			}
		}
		if _, _, _, ok := s.find(uint16(start + 12)); ok {
			t.Error("found what has not been sent yet")
		}
		if _, _, _, ok := s.find(uint16(start - 1)); ok {
			t.Error("found what was before the first")
		}
	}
}

func TestSequencerForgets(t *testing.T) {
	var s sequencer
	l := new(siaran.Layer)
	s.jump(l, 100)
	s.assign(100)
	s.forget()
	s.jump(l, 100)
	if out := s.assign(100); out != 1 {
		t.Errorf("went out as %d, want 1", out)
	}
	if _, _, _, ok := s.find(0); ok {
		t.Error("found what was before")
	}
	if _, in, _, ok := s.find(1); !ok || in != 100 {
		t.Errorf("found %d, %v", in, ok)
	}
}

func TestSequencerKeepsABoundedPast(t *testing.T) {
	var s sequencer
	for i := range int64(100) {
		s.jump(new(siaran.Layer), i*1000)
		s.assign(i * 1000)
	}
	if len(s.runs) != maxRuns {
		t.Errorf("%d runs, want %d", len(s.runs), maxRuns)
	}
	if _, in, _, ok := s.find(99); !ok || in != 99_000 {
		t.Errorf("the newest is %d, %v", in, ok)
	}
}

func TestTimelineRisesAndMeetsTheEdge(t *testing.T) {
	tl := timeline{offset: 1000}
	const frame = 3000
	edge := int64(300 * frame)
	last := int64(-1)
	for in := int64(0); in <= edge; in += frame {
		if in%(4*frame) == 0 && edge < 400*frame {
			edge += frame
		}
		out := tl.at(in, edge)
		if out <= last {
			t.Fatalf("frame %d: %d after %d", in, out, last)
		}
		if again := tl.at(in, edge+5000); again != out {
			t.Fatalf("two timestamps for one frame: %d, %d", out, again)
		}
		if behind := edge + tl.offset - out; behind > 401*frame/compression {
			t.Fatalf("frame %d is shown %d behind the edge", in, behind)
		}
		last = out
	}
	if last != edge+tl.offset {
		t.Errorf("at the edge %d, want %d", last, edge+tl.offset)
	}
	for in, want := range map[int64]int64{edge: edge + tl.offset, edge + frame: edge + frame + tl.offset} {
		if got := tl.sent(in); got != want {
			t.Errorf("frame %d went out at %d, want %d", in, got, want)
		}
	}
	if got := tl.sent(0); got <= tl.offset {
		t.Errorf("the first frame is remembered with %d, its usual timestamp", got)
	}

	// The key frame goes out once more, and what follows it.
	tl.follow(0)
	for in := edge - 60*frame; in <= edge+frame; in += frame {
		out := tl.at(in, max(in, edge))
		if out <= last {
			t.Fatalf("frame %d again: %d after %d", in, out, last)
		}
		last = out
	}
	if want := edge + frame + tl.offset; last != want {
		t.Errorf("at the edge %d, want %d", last, want)
	}
}

func TestPacerKeepsItsRate(t *testing.T) {
	const burst = 20_000
	now := time.Unix(100, 0)
	var p pacer
	p.refill(now, 1_000_000, burst)
	sent := 0
	for range 250 { // one second
		p.refill(now, 1_000_000, burst)
		for ; p.ready(); sent += 1000 {
			p.charge(1000)
		}
		now = now.Add(paceTick)
	}
	if sent < 990_000 || sent > 1_000_000+2*burst {
		t.Errorf("sent %d bytes in a second, want about 1000000", sent)
	}
	for _, c := range []struct{ limit, want int }{{burst, burst}, {5000, 5000}} {
		now = now.Add(time.Hour)
		p.refill(now, 1_000_000, burst)
		p.limit(c.limit)
		sent = 0
		for ; p.ready(); sent += 1000 {
			p.charge(1000)
		}
		if sent != c.want {
			t.Errorf("a burst of %d bytes after a pause, want %d", sent, c.want)
		}
	}
}

func TestRepairBudget(t *testing.T) {
	now := time.Unix(100, 0)
	var b repairBudget
	granted := 0
	for n := range int64(10_000) {
		if b.take(now, n, 0, 0) {
			granted++
		}
	}
	if granted != repairBurst {
		t.Errorf("%d at once, want %d", granted, repairBurst)
	}
	now = now.Add(time.Second)
	granted = 0
	for n := range int64(10_000) {
		if b.take(now, 20_000+n, 0, 300) {
			granted++
		}
	}
	if want := repairFloor + 300/repairShare; granted != want {
		t.Errorf("%d after a second and 300 packets, want %d", granted, want)
	}
}

func TestRepairsOfOnePacketAreFew(t *testing.T) {
	now := time.Unix(100, 0)
	for _, number := range []int64{0, 7, 1<<16 - 1, 1 << 16} {
		var b repairBudget
		for _, c := range []struct {
			after time.Duration
			again bool
		}{{0, true}, {5 * time.Millisecond, false}, {40 * time.Millisecond, false}, {60 * time.Millisecond, true}, {70 * time.Millisecond, false}} {
			if got := b.take(now.Add(c.after), number, 100*time.Millisecond, 0); got != c.again {
				t.Errorf("number %d after %v: %v", number, c.after, got)
			}
		}
		granted := 2
		for i := range 100 {
			if b.take(now.Add(time.Duration(i+2)*100*time.Millisecond), number, 0, 0) {
				granted++
			}
		}
		if granted != repairTimes {
			t.Errorf("number %d was repaired %d times, want %d", number, granted, repairTimes)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	now := time.Unix(1_700_000_000, 250_000_000)
	sent := uint32(ntp(now.Add(-300*time.Millisecond)) >> 16)
	got := roundTrip(rtcp.ReceptionReport{LastSenderReport: sent, Delay: 65536 / 10}, now)
	if got < 199*time.Millisecond || got > 201*time.Millisecond {
		t.Errorf("%v, want 200 ms", got)
	}
	for _, r := range []rtcp.ReceptionReport{{}, {LastSenderReport: sent, Delay: 1 << 31}, {LastSenderReport: sent + 1<<20}} {
		if got := roundTrip(r, now); got != 0 {
			t.Errorf("%+v gives %v", r, got)
		}
	}
}

func TestGuardBoundsASource(t *testing.T) {
	g, now := newGuard(), time.Unix(100, 0)
	a, b := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	passed := 0
	for range 10 * guardChecks {
		if g.check(a, now) {
			passed++
		}
	}
	if passed != guardChecks {
		t.Errorf("%d checks passed, want %d", passed, guardChecks)
	}
	if !g.check(b, now) || !g.datagram(a, now) || !g.check(a, now.Add(guardWindow)) {
		t.Error("another source, another kind or another time was refused")
	}
}

func TestThinnerNeedsReportsInARow(t *testing.T) {
	var th thinner
	for _, f := range []uint8{200, 0, 200, 0, 200} {
		if th.report(f); th.on {
			t.Fatal("on after single bad reports")
		}
	}
	if th.report(200); !th.on {
		t.Fatal("still off after two bad reports in a row")
	}
	th.report(0)
	th.report(200)
	th.report(0)
	if th.leave() {
		t.Fatal("left after single good reports")
	}
	th.report(0)
	if !th.leave() || th.on {
		t.Fatal("still on after two good reports in a row")
	}
}

// clientHello is a DTLS 1.2 ClientHello with use_srtp, cut into fragments of a size, a record and a datagram each.
func clientHello(fragment int, profiles ...dtls.SRTPProtectionProfile) [][]byte {
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	body = append(body, 0, 0)             // session id, cookie
	body = append(body, 0, 2, 0xc0, 0x2b) // cipher suites
	body = append(body, 1, 0)             // compression
	list := []byte{}
	for _, p := range profiles {
		list = binary.BigEndian.AppendUint16(list, uint16(p))
	}
	srtp := binary.BigEndian.AppendUint16(nil, uint16(len(list)))
	srtp = append(append(srtp, list...), 0)
	extensions := []byte{0, 23, 0, 0, 0, 51, 4, 0} // extended master secret; a key share of a kilobyte
	extensions = append(extensions, make([]byte, 1024)...)
	extensions = append(extensions, 0, 14)
	extensions = binary.BigEndian.AppendUint16(extensions, uint16(len(srtp)))
	extensions = append(extensions, srtp...)
	body = binary.BigEndian.AppendUint16(body, uint16(len(extensions)))
	body = append(body, extensions...)
	var datagrams [][]byte
	for offset := 0; offset < len(body); offset += fragment {
		part := body[offset:min(offset+fragment, len(body))]
		hs := []byte{1, 0, byte(len(body) >> 8), byte(len(body)), 0, 0, 0, byte(offset >> 8), byte(offset), 0, byte(len(part) >> 8), byte(len(part))}
		record := append([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}, byte((len(hs)+len(part))>>8), byte(len(hs)+len(part)))
		datagrams = append(datagrams, append(append(record, hs...), part...))
	}
	return datagrams
}

func TestClientHelloInFragments(t *testing.T) {
	for _, size := range []int{2000, 1100, 500, 100, 1} {
		datagrams := clientHello(size, dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM)
		var r helloReader
		for i := len(datagrams) - 1; i >= 0; i-- { // out of order
			if done := r.add(datagrams[i]); done != (i == 0) {
				t.Fatalf("fragments of %d: done %v with %d to come", size, done, i)
			}
			r.add(datagrams[i]) // and twice
		}
		if p := r.profiles(); len(p) != 2 || p[1] != dtls.SRTP_AEAD_AES_128_GCM {
			t.Errorf("fragments of %d: profiles %v", size, p)
		}
	}
}

func TestCheapestCipherThatIsOffered(t *testing.T) {
	const cm, short, long = dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM
	for _, c := range []struct {
		offered []dtls.SRTPProtectionProfile
		want    dtls.SRTPProtectionProfile
	}{{[]dtls.SRTPProtectionProfile{cm, long, short}, short}, {[]dtls.SRTPProtectionProfile{cm, long}, long}, {[]dtls.SRTPProtectionProfile{cm}, cm}, {nil, cm}} {
		if got := cheapest(c.offered); len(got) != 1 || got[0] != c.want {
			t.Errorf("%v gives %v, want %v", c.offered, got, c.want)
		}
	}
}

func FuzzClientHello(f *testing.F) {
	for _, size := range []int{2000, 700} {
		d := clientHello(size, dtls.SRTP_AEAD_AES_256_GCM)
		f.Add(d[0], d[len(d)-1])
	}
	f.Add([]byte{22}, []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var r helloReader
		if r.add(a) || r.add(b) {
			r.profiles()
		}
		if len(r.body) > maxHello {
			t.Errorf("%d bytes kept", len(r.body))
		}
	})
}

func FuzzRTCP(f *testing.F) {
	f.Add([]byte{0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0xff, 0xff})
	f.Add([]byte{0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9})
	f.Add([]byte{0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 1, 0, 0, 0})
	hub := siaran.NewHub(time.Second)
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}})
	if err != nil {
		f.Fatal(err)
	}
	socket, err := Listen("127.0.0.1:0", SocketOptions{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { socket.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		v := newViewer(nil, []plan{{Kind: siaran.KindVideo, ClockRate: 90000, Layers: pub.Broadcast().Video().Layers, SSRC: 9}}, nil)
		v.handleCompound(newWorker(socket, socket.ports[0], defaultBurst), b, time.Now())
	})
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 3, 'a', ':', 'b', 0})
	s, err := Listen("127.0.0.1:0", SocketOptions{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	l := newLink(s, "b")
	l.ufrag = "a"
	l.found = func() { f.Error("a check without the password was taken") }
	s.register(l)
	g, from := newGuard(), netip.MustParseAddrPort("127.0.0.1:9")
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 {
			s.handle(g, b, from, netip.Addr{})
		}
		if l.selected.Load() != nil {
			t.Error("a check without the password was taken")
		}
	})
}

// Frames whose packets differ by little are padded to one size; the last packet and what differs by much are left.
func TestFramesAreEvenedOut(t *testing.T) {
	hub := siaran.NewHub(time.Second)
	defer hub.Close()
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}})
	if err != nil {
		t.Fatal(err)
	}
	w := pub.Writer(siaran.KindVideo, "")
	f := follow(w.Layer(), make(chan struct{}, 1), true)
	defer f.unfollow()
	seq := int64(0)
	for _, c := range []struct{ sizes, pads []int }{
		{[]int{1164, 1166, 1167, 1167}, []int{3, 1, 0, 0}},
		{[]int{1200, 1200, 700}, []int{0, 0, 0}},
		{[]int{1000, 1000, 1001, 1001}, []int{1, 1, 0, 0}},
		{[]int{500, 1200, 1190, 1180}, []int{0, 0, 10, 0}},
		{[]int{80}, []int{0}},
	} {
		first := seq
		for i, size := range c.sizes {
			payload := make([]byte, size)
			if i == 0 {
				copy(payload, []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00})
			}
			if err := w.Write(seq, first*3000, i == len(c.sizes)-1, payload, time.Now()); err != nil {
				t.Fatal(err)
			}
			seq++
		}
		f.gather(time.Now())
		for i, want := range c.pads {
			if got := f.padding(first + int64(i)); got != want {
				t.Errorf("%v: packet %d gets %d bytes, want %d", c.sizes, i, got, want)
			}
		}
	}
	var tr track
	room := make([]byte, maxDatagram)
	tr.head(room, 96, 1, 2, 3, false)
	p := rtp.Packet{}
	if err := p.Unmarshal(room[:headerSize+len(padded(room, []byte("siaran"), 7))]); err != nil || string(p.Payload) != "siaran" {
		t.Errorf("a padded packet reads %q, %v", p.Payload, err)
	}
}
