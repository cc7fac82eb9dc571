package ingest

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
)

func TestPublish(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264} {
		t.Run(mime, func(t *testing.T) {
			s := start(t, nil)
			b := publish(t, s, "cats", clientOptions{video: mime})
			var sent [][]byte
			const frames = 200
			seq := uint16(65500)                     // wraps on the way
			tick := time.NewTicker(time.Millisecond) // or the socket's buffer overflows
			defer tick.Stop()
			for n := range frames {
				<-tick.C
				payloads := [][]byte{vp8(n%30 == 0, n)}
				if mime == webrtc.MimeTypeH264 {
					payloads = h264(n%30 == 0, n)
				}
				for i, p := range payloads {
					if err := b.video.WriteRTP(rtpPacket(seq, uint32(n)*3000, i == len(payloads)-1, p)); err != nil {
						t.Fatal(err)
					}
					sent = append(sent, p)
					seq++
				}
				if err := b.audio.WriteRTP(rtpPacket(uint16(n), uint32(n)*960, false, []byte{0xfc, byte(n)})); err != nil {
					t.Fatal(err)
				}
			}
			live := s.live(t, "cats")
			got := follow(t, live.Video().Layers[0], len(sent))
			for i, p := range got {
				if !bytes.Equal(p.Payload, sent[i]) {
					t.Fatalf("packet %d is %x, sent was %x", i, p.Payload, sent[i])
				}
				if p.Seq != got[0].Seq+int64(i) {
					t.Fatalf("packet %d has number %d after %d", i, p.Seq, got[0].Seq)
				}
			}
			if !got[0].Keyframe || got[len(got)-1].Timestamp-got[0].Timestamp != (frames-1)*3000 {
				t.Errorf("first packet %+v, last %+v", got[0], got[len(got)-1])
			}
			for i, p := range follow(t, live.Audio().Layers[0], frames) {
				if !bytes.Equal(p.Payload, []byte{0xfc, byte(i)}) {
					t.Fatalf("audio packet %d is %x", i, p.Payload)
				}
			}
			if got := live.State(); got.Status != siaran.StatusLive || got.Video.Width == 0 {
				t.Errorf("state is %+v", got)
			}
			if err := s.End(b.answer.Session); err != nil {
				t.Fatal(err)
			}
			if _, err := s.hub.Broadcast("cats"); err != siaran.ErrNotLive {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}
