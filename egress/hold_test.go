package egress

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/sdp"
)

func TestHoldFollowsLoss(t *testing.T) {
	const trip = 80 * time.Millisecond
	var h hold
	for range 10 { // one bad window alone, again and again
		h.window(20, trip)
		for range lossyWeight {
			h.window(0, trip)
		}
	}
	if h.told {
		t.Errorf("single losses: %+v", h)
	}
	h.window(lossyShare, trip)
	h.window(lossyShare-1, trip)
	h.window(lossyShare, trip)
	if want := trip + holdMargin; !h.told || h.delay != want {
		t.Errorf("%v after two bad windows, want %v", h.delay, want)
	}
	h.window(20, time.Hour)
	h.window(20, time.Hour)
	if h.delay != mostHold {
		t.Errorf("%v for a trip of an hour", h.delay)
	}
	for range lossyMost {
		if h.delay == 0 {
			t.Error("let go too soon")
		}
		h.window(0, trip)
	}
	if h.delay != 0 || !h.told {
		t.Errorf("after a time without loss: %+v", h)
	}
}

func TestHoldIsWrittenAsBrowsersReadIt(t *testing.T) {
	room := make([]byte, mediaport.MaxDatagram)
	for _, h := range []hold{{}, {delay: 140 * time.Millisecond}, {delay: mostHold}} {
		var tr track
		tr.head(room, 96, 1, 2, 3, true)
		e := extensions{b: room}
		h.write(&e, 5)
		e.finish()
		n := headerLength(room)
		n += len(padded(room, append(room[n:n], "siaran"...), 7))
		var p rtp.Packet
		if err := p.Unmarshal(room[:n]); err != nil || string(p.Payload) != "siaran" || p.SequenceNumber != 2 || !p.Marker {
			t.Fatalf("it reads %v, %v", p, err)
		}
		var delay rtp.PlayoutDelayExtension
		if err := delay.Unmarshal(p.GetExtension(5)); err != nil {
			t.Fatal(err)
		}
		if delay.MinDelay != uint16(h.delay/holdUnit) || delay.MaxDelay != uint16(holdMost/holdUnit) {
			t.Errorf("%v reads %+v", h.delay, delay)
		}
	}
}

func TestHoldIsNegotiatedWithRTXOnly(t *testing.T) {
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := &Server{socket: socket}
	for _, c := range []struct {
		file, from, to string // of the offer, and an edit of it
		want           string
		id             uint8
	}{
		{"whep-chromium", "", "", "a=extmap:5 " + uriHold + "\r\n", 5},
		{"whep-firefox", "", "", "a=extmap:6/sendonly " + uriHold + "\r\n", 6},
		{"whep-chromium", " rtx/90000", " unknown/90000", "", 0},
		{"whep-chromium", "extmap:5 ", "extmap:15 ", "", 0},
		{"whep-chromium", "extmap:5 ", "extmap:5/sendonly ", "", 0},
		{"whep-pion", "", "", "", 0},
	} {
		text, err := os.ReadFile("../internal/sdp/testdata/offers/" + c.file + ".sdp")
		if err != nil {
			t.Fatal(err)
		}
		if c.from != "" {
			text = bytes.ReplaceAll(text, []byte(c.from), []byte(c.to))
		}
		offer, err := sdp.ParseOffer(text)
		if err != nil {
			t.Fatal(err)
		}
		b := liveBroadcast(t, siaran.Codec{Name: siaran.VP8, ClockRate: 90000})
		answer, plans, err := s.answer(offer, b, answeringLink(socket, offer), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range plans {
			if p.Kind == siaran.KindVideo && p.HoldID != c.id {
				t.Errorf("%s with %q: id %d, want %d", c.file, c.to, p.HoldID, c.id)
			}
		}
		if got := strings.Contains(string(answer), uriHold); got != (c.id != 0) || !strings.Contains(string(answer), c.want) {
			t.Errorf("%s with %q:\n%s", c.file, c.to, answer)
		}
	}
}
