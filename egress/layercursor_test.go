package egress

import (
	"testing"
	"time"

	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/codec"
	"siaran/mediaport"
)

// Frames whose packets differ by little are padded to one size; the last packet and what differs by much are left.
func TestFramesAreEvenedOut(t *testing.T) {
	hub := siaran.NewHub(time.Second, codec.NewFramer)
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
		f.advance(time.Now())
		for i, want := range c.pads {
			if got := f.padding(first + int64(i)); int(got) != want {
				t.Errorf("%v: packet %d gets %d bytes, want %d", c.sizes, i, got, want)
			}
		}
	}
	var tr track
	room := make([]byte, mediaport.MaxDatagram)
	tr.head(room, 96, 1, 2, 3, false)
	p := rtp.Packet{}
	size := headerSize + len(padded(room, append(room[headerSize:headerSize], "siaran"...), 7))
	if err := p.Unmarshal(room[:size]); err != nil || string(p.Payload) != "siaran" {
		t.Errorf("a padded packet reads %q, %v", p.Payload, err)
	}
}
