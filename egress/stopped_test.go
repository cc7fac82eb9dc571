package egress

import (
	"net/netip"
	"testing"
	"time"

	"siaran/mediaport"

	"siaran"
	"siaran/internal/codec"
)

// A viewer of a picture that has stopped asks for key frames for ever. It gets the old ones a few times, not each time.
func TestStoppedPictureIsNotPlayedAgainForEver(t *testing.T) {
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	defer hub.Close()
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	seq := int64(0)
	frame := func(key bool) {
		payload := make([]byte, 300)
		copy(payload, []byte{0x10, 1})
		if key {
			copy(payload, []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00})
		}
		if err := pub.Writer(siaran.KindVideo, "").Write(seq, seq*3000, true, payload, time.Now()); err != nil {
			t.Fatal(err)
		}
		seq++
	}
	frame(true)
	frame(false)
	w := newWorker(socket, 0, defaultBurst, new(drops))
	layers := pub.Broadcast().Video().Layers
	w.layers[layers[0]] = follow(layers[0], w.wake, false)
	l := testLink(socket, "r", "p")
	proveAt(l, netip.MustParseAddrPort("127.0.0.1:9"))
	sent := &countingSealer{}
	l.media = sent
	v := newViewer(l, []plan{{Kind: siaran.KindVideo, ClockRate: 90000, Layers: layers, PayloadType: 96, SSRC: 1}}, nil)
	track := v.tracks[0]
	track.shared = w.layers[layers[0]]
	now := time.Now()
	watch := func(seconds int) int {
		before := sent.packets
		for range seconds * 10 {
			now = now.Add(100 * time.Millisecond)
			track.shared.advance(now)
			track.wantKeyframe(w, now)
			track.tick(w, now)
			track.advance(w, l, now)
		}
		return sent.packets - before
	}
	if n := watch(60); n != 2*(1+maxRepeatedStarts) {
		t.Errorf("%d packets in a minute without any new, want %d", n, 2*(1+maxRepeatedStarts))
	}
	frame(false)
	if n := watch(10); n < 3 {
		t.Errorf("%d packets after one has come", n)
	}
}

type countingSealer struct{ packets int }

func (c *countingSealer) seal(room, payload []byte, _ int64) (int, error) {
	c.packets++
	return headerSize + len(payload), nil
}
