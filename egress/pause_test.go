package egress

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
)

// TestChildGetsTheLayersThatItNames, each in a section of its own, and a viewer does not.
func TestChildGetsTheLayersThatItNames(t *testing.T) {
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	defer hub.Close()
	pub, err := hub.Publish("cats", "me", []siaran.TrackSpec{{
		Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: []string{"l", "m", "h"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	video := func(i int, layer string) sdp.Section {
		vp8 := sdp.OfferedCodec{PayloadType: 96, Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RTX: 97}
		vp8.Feedback = []string{"nack", "nack pli", feedbackTMMBR}
		return sdp.Section{
			Index: i, Kind: siaran.KindVideo, Layer: layer, Direction: sdp.RecvOnly, Codecs: []sdp.OfferedCodec{vp8},
		}
	}
	for name, test := range map[string]struct {
		layers []string
		child  bool
		want   []string // "-" for a section that is refused
	}{
		"a child":                {[]string{"h", "l"}, true, []string{"h", "l"}},
		"the same twice":         {[]string{"h", "h"}, true, []string{"h", "-"}},
		"one that is not there":  {[]string{"h", "x"}, true, []string{"h", "-"}},
		"a child that names one": {[]string{"m", ""}, true, []string{"m", "-"}},
		"a child that does not":  {[]string{"", "l"}, true, []string{"", "-"}},
		"a viewer":               {[]string{"h", "l"}, false, []string{"", "-"}},
	} {
		offer := &sdp.Offer{}
		for i, layer := range test.layers {
			offer.Sections = append(offer.Sections, video(i, layer))
		}
		plans, err := planSections(offer, pub.Broadcast(), test.child)
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		ssrcs := map[uint32]bool{}
		for _, p := range plans {
			if p == nil {
				got = append(got, "-")
				continue
			}
			got = append(got, p.layer)
			if p.layer != "" && (len(p.Layers) != 1 || p.Layers[0].RID() != p.layer ||
				!slices.Contains(p.feedback, feedbackTMMBR)) {
				t.Errorf("%s: %+v", name, p)
			}
			if ssrcs[p.SSRC&31] || ssrcs[p.RTXSSRC&31] {
				t.Errorf("%s: SSRCs may be the same", name)
			}
			ssrcs[p.SSRC&31], ssrcs[p.RTXSSRC&31] = true, true
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestPausedTrackGoesOn with the newest key frame under the next number: SRTP must not miss thousands.
func TestPausedTrackGoesOn(t *testing.T) {
	hub := siaran.NewHub(time.Minute, codec.NewFramer)
	defer hub.Close()
	name := siaran.Codec{Name: siaran.VP8, ClockRate: 90000}
	pub, err := hub.Publish("cats", "me", []siaran.TrackSpec{{Codec: name}})
	if err != nil {
		t.Fatal(err)
	}
	layer := pub.Broadcast().Video().Layers[0]
	seq, now := int64(70_000), time.Now()
	write := func(key bool) {
		t.Helper()
		payload := []byte{0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		if key {
			payload = []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00}
		}
		if err := pub.Writer(siaran.KindVideo, "").Write(seq, seq*3000, true, payload, now); err != nil {
			t.Fatal(err)
		}
		seq++
	}
	w := &worker{layers: map[*siaran.Layer]*layerCursor{layer: follow(layer, nil, false)}}
	track := newViewer(nil, []plan{{Kind: siaran.KindVideo, ClockRate: 90000, Layers: layerList(layer)}}, nil).tracks[0]
	track.shared, track.asItIs, track.time.offset = w.layers[layer], true, 0
	write(true)
	write(false)
	track.start(w, now)
	first := track.cursor
	for next := first; next < layer.Head(); next++ {
		if got := track.seq.assign(next); got != next&0xffff {
			t.Fatalf("packet %d is %d", next, got)
		}
	}
	track.pause(true)
	sent := track.seq.next
	for range 50 {
		write(false)
	}
	write(true)
	key, _ := layer.Keyframe()
	if track.advance(w, nil, now) || track.seq.next != sent {
		t.Error("a paused track sends")
	}
	track.pause(false)
	track.start(w, now)
	if got := track.seq.assign(track.cursor); track.cursor != key || got != sent {
		t.Errorf("it goes on with packet %d as %d; want %d as %d", track.cursor, got, key, sent)
	}
	track.pause(true)
	track.pause(false)
	track.start(w, now)
	if track.cursor != key+1 {
		t.Errorf("after a short pause it goes on with %d, want %d", track.cursor, key+1)
	}
}

func layerList(l ...*siaran.Layer) []*siaran.Layer { return l }

// FuzzBounds reads TMMBRs of a child, which has proven to be a server but may be of any make.
func FuzzBounds(f *testing.F) {
	f.Add([]byte{0x83, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0})
	f.Add([]byte{0x83, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Add([]byte{0x83, 205, 0, 1, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for ssrc := range bounds(b) {
			if at := boundsHead + n*boundSize; ssrc != binary.BigEndian.Uint32(b[at:]) {
				t.Errorf("entry %d", n)
			}
			n++
		}
		if n > 0 && boundsHead+n*boundSize > len(b) {
			t.Errorf("%d entries in %d bytes", n, len(b))
		}
	})
}
