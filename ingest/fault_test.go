package ingest

import (
	"testing"

	"siaran/internal/testutil"

	"github.com/pion/webrtc/v3"
)

// TestPanicEndsOneSession has the server fall over the media of one of two broadcasters, where it comes in and where
// it is looked after.
func TestPanicEndsOneSession(t *testing.T) {
	for name, sabotage := range map[string]func(r *receiver){
		"media":   func(r *receiver) { r.demux.sources = nil }, // which the next source is written to
		"session": func(r *receiver) { r.demux.layers = append(r.demux.layers, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			bad := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
			good := publish(t, s, "dogs", clientOptions{video: webrtc.MimeTypeVP8})
			defer good.sendFrames()()
			layer := s.live(t, "dogs").Video().Layers[0]
			s.Server.mu.Lock()
			r := s.sessions[bad.answer.Session].receiver
			s.Server.mu.Unlock()
			r.mu.Lock()
			sabotage(r)
			r.mu.Unlock()
			defer bad.sendFrames()()
			testutil.Eventually(t, "the end of the one session", func() bool { return s.count() == 1 })
			head := layer.Head()
			testutil.Eventually(t, "the other to go on", func() bool { return layer.Head() > head+10 })
			if s.mux.faults.Count() == 0 {
				t.Error("nothing was counted")
			}
		})
	}
}

// TestPanicCostsOneDatagram has the mux fall over a datagram for one session.
func TestPanicCostsOneDatagram(t *testing.T) {
	m := testMux(t)
	bad, good := join(t, m, "bad"), join(t, m, "good")
	bad.bound = nil // which its first address is written to
	from := udp("[100::1]:5000")
	for range 3 {
		m.dispatch(request(t, "bad"), from)
	}
	m.dispatch(request(t, "good"), from)
	m.dispatch(media(1), from)
	if n := good.queued(); n != 2 || m.faults.Count() != 3 {
		t.Errorf("%d datagrams came, %d panics counted", n, m.faults.Count())
	}
}
