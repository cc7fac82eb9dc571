package egress

import (
	"net/netip"
	"testing"
	"time"

	"siaran/mediaport"

	"siaran"
	"siaran/internal/codec"
)

// stopping is a viewer of a picture that comes or not, and asks for key frames all the time.
type stopping struct {
	t     *testing.T
	pub   *siaran.Publication
	w     *worker
	l     *link
	track *track
	sent  *countingSealer
	seq   int64
	now   time.Time
}

func newStopping(t *testing.T) *stopping {
	t.Helper()
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	t.Cleanup(hub.Close)
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	s := &stopping{t: t, pub: pub, sent: new(countingSealer), now: time.Now()}
	s.frame(true)
	s.frame(false)
	s.w = newWorker(socket, 0, defaultBurst, new(drops))
	layers := pub.Broadcast().Video().Layers
	s.w.layers[layers[0]] = follow(layers[0], s.w.wake, false)
	s.l = testLink(socket, "r", "p")
	proveAt(s.l, netip.MustParseAddrPort("127.0.0.1:9"))
	s.l.media = s.sent
	plans := []plan{{Kind: siaran.KindVideo, ClockRate: 90000, Layers: layers, PayloadType: 96, SSRC: 1}}
	s.track = newViewer(s.l, plans, nil).tracks[0]
	s.track.shared = s.w.layers[layers[0]]
	return s
}

func (s *stopping) frame(key bool) {
	s.t.Helper()
	payload := make([]byte, 300)
	copy(payload, []byte{0x10, 1})
	if key {
		copy(payload, []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00})
	}
	if err := s.pub.Writer(siaran.KindVideo, "").Write(s.seq, s.seq*3000, true, payload, s.now); err != nil {
		s.t.Fatal(err)
	}
	s.seq++
}

// watch lets the viewer watch for a while, and returns how many packets it gets.
func (s *stopping) watch(seconds float64, comes, asks bool) int {
	s.t.Helper()
	before := s.sent.packets
	for range int(seconds * 10) {
		s.now = s.now.Add(100 * time.Millisecond)
		if comes {
			s.frame(false)
		}
		s.track.shared.advance(s.now)
		if asks {
			s.track.wantKeyframe(s.w, s.now)
		}
		s.track.tick(s.w, s.now)
		s.track.advance(s.w, s.l, s.now)
	}
	return s.sent.packets - before
}

// A viewer of a picture that has stopped asks for key frames for ever. It gets the old ones a few times, not each time.
func TestStoppedPictureIsNotPlayedAgainForEver(t *testing.T) {
	s := newStopping(t)
	if n := s.watch(60, false, true); n != 2*(1+maxRepeatedStarts) {
		t.Errorf("%d packets in a minute without any new, want %d", n, 2*(1+maxRepeatedStarts))
	}
	s.frame(false)
	if n := s.watch(10, false, true); n < 3 {
		t.Errorf("%d packets after one has come", n)
	}
}

// Half a minute of the past is not played again to a viewer that has seen it: it asks only because nothing comes.
func TestStoppedPictureIsNotPlayedAgainFromLongAgo(t *testing.T) {
	s := newStopping(t)
	if n := s.watch(30, true, false); n != 302 {
		t.Fatalf("%d packets while they come", n)
	}
	for range 2 {
		if n := s.watch(20, false, true); n != 0 {
			t.Errorf("%d packets in 20 s without any new", n)
		}
		if n := s.watch(5, true, false); n != 50 {
			t.Errorf("%d packets after it has come again, want 50", n)
		}
	}
	s.watch(2, true, false)
	s.track.resend(s.w, s.l, uint16(s.track.seq.next-1), s.now)
	if n := s.watch(10, false, true); n < 302 {
		t.Errorf("%d packets in a silence for a viewer that has missed some", n)
	}
	if n := s.watch(3, true, true); n < 302 {
		t.Errorf("%d packets for a viewer that asks while they come", n)
	}
	if n := s.watch(10, false, true); n < 302 {
		t.Errorf("%d packets in a silence for a viewer that has asked before it", n)
	}
}

type countingSealer struct{ packets int }

func (c *countingSealer) seal(room, payload []byte, _ int64) (int, error) {
	c.packets++
	return headerSize + len(payload), nil
}
