package egress_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/egress"
	"siaran/internal/testutil"
)

// Sessions that never connect are bounded, and end when their time is over.
func TestSessionsThatNeverConnect(t *testing.T) {
	s := newStageAt(t, "127.0.0.1:0", siaran.VP8, func(c *egress.Config) {
		c.MaxSetups, c.SetupTimeout = 50, testutil.Patience
	})
	s.frame(true, 2)
	stop := s.play(25, 2)
	defer stop()
	v := watch(t, s, webrtc.SettingEngine{})
	v.next(v.video)
	s.server.SetLimits(egress.Limits{SetupTimeout: 5 * time.Second})
	offer, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	taken, refused := 0, 0
	for range 200 {
		switch _, err := s.server.Offer(context.Background(), stream, "", netip.Addr{}, offer); {
		case err == nil:
			taken++
		case errors.Is(err, siaran.ErrTooManySessions):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d sessions were taken and %d refused", taken, refused)
	}
	for previous, n := v.next(v.video), 0; n < 100; n++ {
		p := v.next(v.video)
		if p.SequenceNumber != previous.SequenceNumber+1 {
			t.Fatalf("the viewer lost packets: %d after %d", p.SequenceNumber, previous.SequenceNumber)
		}
		previous = p
	}
	testutil.Eventually(t, "sessions that never connected are still there",
		func() bool { return s.server.Stats().Sessions == 1 })
}

// Junk at full speed costs no viewer its picture.
func TestJunkHarmsNobody(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	stop := s.play(25, 2)
	defer stop()
	v := watch(t, s, webrtc.SettingEngine{})
	v.next(v.video)

	done := make(chan struct{})
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			conn, err := net.Dial("udp4", s.socket.Addresses()[0].String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			junk := make([]byte, 1200)
			junk[0] = []byte{0, 22, 128, 255}[i]
			copy(junk[4:], []byte{0x21, 0x12, 0xa4, 0x42})
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				_, _ = conn.Write(junk[:20+n%1000])
			}
		})
	}
	for previous, n := v.next(v.video), 0; n < 300; n++ {
		p := v.next(v.video)
		if p.SequenceNumber != previous.SequenceNumber+1 {
			t.Fatalf("the viewer lost packets: %d after %d", p.SequenceNumber, previous.SequenceNumber)
		}
		previous = p
	}
	close(done)
	senders.Wait()
	if s.socket.Stats().Limited == 0 {
		t.Error("no junk was dropped")
	}
}
