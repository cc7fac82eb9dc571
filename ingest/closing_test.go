package ingest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran/internal/testutil"
)

// TestEndWhileConnecting ends sessions in every moment of their connecting, with packets of two sources on their way.
// What is looked for is what TestMain looks for: goroutines that are left.
func TestEndWhileConnecting(t *testing.T) {
	s := start(t, nil)
	for i := range 60 {
		network, setting := onBadNetwork(t, nil)
		b := newClient(t, clientOptions{video: webrtc.MimeTypeVP8, setting: setting})
		answer, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, []byte(b.offer()))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		sending := make(chan struct{})
		go func() {
			defer close(sending)
			for seq := uint16(0); ; seq++ {
				select {
				case <-done:
					return
				default:
				}
				p := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq}, Payload: []byte{0x10, 1, 2, 3}}
				_ = b.audio.WriteRTP(&p)
				_ = b.video.WriteRTP(&p)
				time.Sleep(50 * time.Microsecond)
			}
		}()
		if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer,
			SDP: string(answer.SDP)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 500 * time.Microsecond)
		if err := s.End(answer.Session); err != nil {
			t.Fatal(err)
		}
		close(done)
		<-sending
		network.dead.Store(true)
		testutil.Eventually(t, "the client connects no more", func() bool { // pion's ICE is not made to be closed then
			return b.pc.ICEConnectionState() != webrtc.ICEConnectionStateConnected ||
				b.sender.Transport().State() != webrtc.DTLSTransportStateNew
		})
		b.pc.GracefulClose()
	}
}
