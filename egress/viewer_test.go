package egress

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"siaran"
	"siaran/internal/codec"
	"siaran/mediaport"
)

func TestRoundTrip(t *testing.T) {
	now := time.Unix(1_700_000_000, 250_000_000)
	sent := uint32(ntp(now.Add(-300*time.Millisecond)) >> 16)
	got := roundTrip(rtcp.ReceptionReport{LastSenderReport: sent, Delay: 65536 / 10}, now)
	if got < 199*time.Millisecond || got > 201*time.Millisecond {
		t.Errorf("%v, want 200 ms", got)
	}
	for _, r := range []rtcp.ReceptionReport{
		{}, {LastSenderReport: sent, Delay: 1 << 31}, {LastSenderReport: sent + 1<<20},
	} {
		if got := roundTrip(r, now); got != 0 {
			t.Errorf("%+v gives %v", r, got)
		}
	}
}

func FuzzRTCP(f *testing.F) {
	f.Add([]byte{0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0xff, 0xff})
	f.Add([]byte{0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9})
	f.Add([]byte{0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 1, 0, 0, 0})
	f.Add(arrivals(nil, 0, 20, time.Second))
	f.Add(append([]byte{0x80, 204, 0, 5, 0, 0, 0, 1, 'S', 'I', 'R', 'N', 0, 0, 0, 7}, make([]byte, 8)...))
	f.Add([]byte{0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 1, 0xff, 0xff, 0xff, 0, 0, 0, 9})
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}})
	if err != nil {
		f.Fatal(err)
	}
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { socket.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, choice := range []bool{false, true} {
			v := newViewer(nil, []plan{{
				Kind: siaran.KindVideo, ClockRate: 90000, Layers: pub.Broadcast().Video().Layers, SSRC: 9,
				Choice: choice, NumberID: 3,
			}}, nil)
			for range 20 {
				if choice {
					v.estimate.Sent(time.Now(), 1200)
				}
			}
			if !choice {
				v.child = newChild(pub.Broadcast(), "child", v)
			}
			v.handleCompound(newWorker(socket, 0, defaultBurst, new(drops)), b, time.Now())
		}
	})
}
