package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/cmd/siaran/internal/whep"
	"siaran/cmd/siaran/internal/whip"
)

const (
	pictureTime = 40 * time.Millisecond
	soundTime   = 20 * time.Millisecond
)

var testTracks = []webrtc.RTPCodecCapability{
	{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
	{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2},
}

// testBroadcaster sends numbered pictures and sounds, and ignores all requests for key frames.
type testBroadcaster struct {
	t       testing.TB
	session *whip.Session
	gop     int // pictures from one key frame to the next
	size    int // bytes of a picture

	cancel context.CancelFunc
	done   sync.WaitGroup
	once   sync.Once

	mu       sync.Mutex
	pictures int
	began    time.Time // just before the first packet
}

// broadcast goes live. The broadcaster leaves politely when the test ends, if it has not left before.
// Options may change how.
func (s *testServer) broadcast(t testing.TB, stream siaran.StreamName, token string, gop int, options ...func(*whip.Config)) *testBroadcaster {
	t.Helper()
	cfg := whip.Config{URL: s.whip(stream), Token: token, Tracks: testTracks, Client: s.client}
	for _, o := range options {
		o(&cfg)
	}
	session, err := whip.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &testBroadcaster{t: t, session: session, gop: gop, size: 5000, cancel: cancel}
	b.done.Go(func() { b.send(ctx) })
	t.Cleanup(b.stop)
	return b
}

func (b *testBroadcaster) send(ctx context.Context) {
	tick := time.NewTicker(pictureTime)
	defer tick.Stop()
	b.mu.Lock()
	b.began = time.Now()
	b.mu.Unlock()
	for n := 0; ; n++ {
		at := time.Duration(n) * pictureTime
		for i := range 2 { // two sounds a picture
			if b.session.Write(1, sound(2*n+i), at+time.Duration(i)*soundTime) != nil {
				return
			}
		}
		if b.session.Write(0, picture(n, n%b.gop == 0, b.size), at) != nil {
			return
		}
		b.mu.Lock()
		b.pictures = n + 1
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sent is how many pictures have been sent.
func (b *testBroadcaster) sent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pictures
}

// firstMedia is when the first packet was sent, once one has been.
func (b *testBroadcaster) firstMedia() time.Time {
	b.waitSent(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.began
}

func (b *testBroadcaster) waitSent(n int) {
	b.t.Helper()
	eventually(b.t, "pictures are sent", func() bool { return b.sent() >= n })
}

// stop ends the broadcast; vanish only ends the broadcaster.
func (b *testBroadcaster) stop() {
	b.leave(func() error { return b.session.Close(context.Background()) })
}
func (b *testBroadcaster) vanish() { b.leave(b.session.Abandon) }

func (b *testBroadcaster) leave(how func() error) {
	b.once.Do(func() {
		b.cancel()
		b.done.Wait()
		if err := how(); err != nil {
			b.t.Logf("the broadcaster leaves: %v", err) // the server may be down already
		}
	})
}

// picture is a VP8 frame as far as anyone but a decoder sees (RFC 6386 section 9.1), with its number in it.
func picture(n int, key bool, size int) []byte {
	b := []byte{0x11, 0, 0}
	if key {
		b = []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0} // 320x240
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for len(b) < size {
		b = append(b, byte(len(b)*7+n))
	}
	return b
}

// sound is an Opus packet of 20 ms with its number in it.
func sound(n int) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0xfc}, uint32(n)), make([]byte, 60)...)
}

// testViewer keeps what it receives.
type testViewer struct {
	t       testing.TB
	session *whep.Session
	once    sync.Once
	asked   time.Time // when the offer was sent, or a little before

	mu       sync.Mutex
	tracks   map[webrtc.RTPCodecType]*receivedTrack
	firstKey time.Time
}

type receivedTrack struct {
	sequence siaran.Unwrapper16
	packets  map[int64]*rtp.Packet // by extended sequence number
	order    []int64               // as they came
	reports  []*rtcp.SenderReport
}

// watch begins to watch; options may change how. The viewer leaves when the test ends.
func (s *testServer) watch(t testing.TB, stream siaran.StreamName, options ...func(*whep.Config)) *testViewer {
	t.Helper()
	v, err := s.tryWatch(t, stream, options...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *testServer) tryWatch(t testing.TB, stream siaran.StreamName, options ...func(*whep.Config)) (*testViewer, error) {
	v := &testViewer{t: t, tracks: map[webrtc.RTPCodecType]*receivedTrack{}, asked: time.Now()}
	cfg := whep.Config{URL: s.whep(stream), Client: s.client, Packet: v.packet, Report: v.report}
	for _, o := range options {
		o(&cfg)
	}
	session, err := whep.Dial(t.Context(), cfg)
	if err != nil {
		return nil, err
	}
	v.session = session
	t.Cleanup(v.leave)
	return v, nil
}

func (v *testViewer) leave() {
	v.once.Do(func() {
		if err := v.session.Close(context.Background()); err != nil {
			v.t.Logf("a viewer leaves: %v", err)
		}
	})
}

func (v *testViewer) vanish() {
	v.once.Do(func() {
		if err := v.session.Abandon(); err != nil {
			v.t.Error(err)
		}
	})
}

func (v *testViewer) track(kind webrtc.RTPCodecType) *receivedTrack {
	if v.tracks[kind] == nil {
		v.tracks[kind] = &receivedTrack{packets: map[int64]*rtp.Packet{}}
	}
	return v.tracks[kind]
}

func (v *testViewer) packet(kind webrtc.RTPCodecType, p *rtp.Packet) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.track(kind)
	n := t.sequence.Unwrap(p.SequenceNumber)
	if t.packets[n] == nil {
		t.packets[n] = p
		t.order = append(t.order, n)
	}
	if kind == webrtc.RTPCodecTypeVideo && v.firstKey.IsZero() && p.Marker {
		v.firstKey = time.Now() // the first picture is a key frame, as the tests see elsewhere
	}
}

func (v *testViewer) report(kind webrtc.RTPCodecType, r *rtcp.SenderReport) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.track(kind)
	t.reports = append(t.reports, r)
}

// shown is one picture or sound as received.
type shown struct {
	number    int
	key       bool
	timestamp uint32
	whole     bool // its bytes are those that were sent
}

// pictures are those that can be shown without a gap: from the first packet on, until one is missing.
func (v *testViewer) pictures() []shown {
	var list []shown
	var frame []byte
	for _, p := range v.unbroken(webrtc.RTPCodecTypeVideo) {
		var d codecs.VP8Packet
		part, err := d.Unmarshal(p.Payload)
		if err != nil {
			v.t.Errorf("a broken packet: %v", err)
			return nil
		}
		if d.S == 1 && d.PID == 0 {
			frame = nil
		} else if len(list) == 0 && frame == nil {
			return nil // the first packet is still missing
		}
		frame = append(frame, part...)
		if !p.Marker {
			continue
		}
		f := shown{timestamp: p.Timestamp}
		if len(frame) > 14 {
			f.key = frame[0]&1 == 0
			at := 3
			if f.key {
				at = 10
			}
			f.number = int(binary.BigEndian.Uint32(frame[at:]))
			f.whole = slices.Equal(frame, picture(f.number, f.key, len(frame)))
		}
		list = append(list, f)
		frame = nil
	}
	return list
}

func (v *testViewer) sounds() []shown {
	var list []shown
	for _, p := range v.unbroken(webrtc.RTPCodecTypeAudio) {
		if len(p.Payload) > 5 {
			n := int(binary.BigEndian.Uint32(p.Payload[1:]))
			list = append(list, shown{number: n, timestamp: p.Timestamp, whole: slices.Equal(p.Payload, sound(n))})
		}
	}
	return list
}

func (v *testViewer) unbroken(kind webrtc.RTPCodecType) []*rtp.Packet {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.track(kind)
	numbers := slices.Sorted(maps.Keys(t.packets))
	var list []*rtp.Packet
	for i, n := range numbers {
		if i > 0 && n != numbers[i-1]+1 {
			break
		}
		list = append(list, t.packets[n])
	}
	return list
}

func (v *testViewer) reports(kind webrtc.RTPCodecType) []*rtcp.SenderReport {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.track(kind).reports)
}

// waitPicture waits until a picture of that number or a later one can be shown.
func (v *testViewer) waitPicture(n int) {
	v.t.Helper()
	eventually(v.t, "a picture arrives", func() bool {
		list := v.pictures()
		return len(list) > 0 && list[len(list)-1].number >= n
	})
}

// checkSteady reports what is wrong with what a viewer has been shown of a single broadcaster: the first picture is a key
// frame, and from then on there is every picture and every sound, whole, in order and in time.
func (v *testViewer) checkSteady() error {
	pictures, sounds := v.pictures(), v.sounds()
	if len(pictures) == 0 || len(sounds) == 0 {
		return errors.New("nothing arrives")
	}
	if !pictures[0].key {
		return errors.New("the first picture is no key frame")
	}
	if err := checkRow(pictures, uint32(pictureTime.Seconds()*90000)); err != nil {
		return err
	}
	return checkRow(sounds, uint32(soundTime.Seconds()*48000))
}

// settled is how many pictures or sounds at the end of a row must have the usual distance in time. Those of the start
// are squeezed on purpose: a viewer is brought from the cached key frame to the live edge.
const settled = 10

func checkRow(list []shown, step uint32) error {
	for i, f := range list {
		if !f.whole {
			return fmt.Errorf("number %d is not as it was sent", f.number)
		}
		if i == 0 {
			continue
		}
		if before := list[i-1]; f.number != before.number+1 {
			return fmt.Errorf("number %d comes after %d", f.number, before.number)
		} else if got := f.timestamp - before.timestamp; got == 0 || got > 5*step || got != step && i > len(list)-settled {
			return fmt.Errorf("number %d of %d is %d timestamp units after the one before, want %d", i, len(list), got, step)
		}
	}
	return nil
}
