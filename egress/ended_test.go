package egress

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"

	"siaran"
	"siaran/internal/codec"
)

// serverWithSound returns a server that has a live stream "s" of sound alone, and an offer to watch it.
func serverWithSound(t *testing.T) (*Server, []byte) {
	t.Helper()
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	t.Cleanup(func() { hub.Close() })
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Writer(siaran.KindAudio, "").Write(1, 1, false, []byte{1}, time.Now()); err != nil {
		t.Fatal(err)
	}
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(hub, socket, Config{Certificate: &certificate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	offer, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	return s, offer
}

// TestDeleteMeetsGoodbye: a viewer that closes its connection and sends the DELETE is told that its session has ended,
// whichever comes first.
func TestDeleteMeetsGoodbye(t *testing.T) {
	s, offer := serverWithSound(t)
	for range 3000 {
		answer, err := s.Offer(context.Background(), "s", "", netip.Addr{}, offer)
		if err != nil {
			t.Fatal(err)
		}
		sess, err := s.find(answer.Session)
		if err != nil {
			t.Fatal(err)
		}
		var leaving sync.WaitGroup
		leaving.Go(func() { sess.end(errLeft) })
		if err := s.End(answer.Session); err != nil {
			t.Fatal(err)
		}
		leaving.Wait()
	}
	if err := s.End("nobody's"); !errors.Is(err, siaran.ErrUnknownSession) {
		t.Error(err)
	}
}
