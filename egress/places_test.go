package egress_test

import (
	"context"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/pion/dtls/v2"
	"github.com/pion/sdp/v3"
	"github.com/pion/stun"
	"github.com/pion/webrtc/v3"

	"siaran"
)

// stranger opens a session and checks its connectivity.
func stranger(t *testing.T, s *stage, offer []byte, remoteUfrag string) net.Conn {
	t.Helper()
	answer, err := s.server.Offer(context.Background(), stream, "", offer)
	if err != nil {
		t.Fatal(err)
	}
	var d sdp.SessionDescription
	if err := d.Unmarshal(answer.SDP); err != nil {
		t.Fatal(err)
	}
	pwd, _ := d.MediaDescriptions[0].Attribute("ice-pwd")
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(answer.Tag+":"+remoteUfrag), stun.NewShortTermIntegrity(pwd), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp4", s.socket.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(m.Raw); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1500)); err != nil { // the answer: from now on a ClientHello is waited for
		t.Fatal(err)
	}
	return conn
}

// firstWrite lets only what is written first through.
type firstWrite struct {
	net.Conn
	once sync.Once
	sent func()
}

func (c *firstWrite) Write(b []byte) (int, error) {
	c.once.Do(func() {
		_, _ = c.Conn.Write(b)
		c.sent()
	})
	return len(b), nil
}

// Sessions that are checked and then say nothing, or no more than a ClientHello, keep nobody waiting.
func TestHandshakesThatNeverEnd(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	stop := s.play(25, 2)
	defer stop()
	text, err := os.ReadFile("../testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	offer, err := siaran.ParseOffer(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running, helloed sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for i := range 16 * runtime.GOMAXPROCS(0) {
		conn := stranger(t, s, text, offer.Ufrag)
		if i%2 == 0 {
			continue
		}
		helloed.Add(1)
		running.Go(func() {
			config := &dtls.Config{InsecureSkipVerify: true, SRTPProtectionProfiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM}}
			if _, err := dtls.ClientWithContext(ctx, &firstWrite{Conn: conn, sent: helloed.Done}, config); err == nil {
				t.Error("a handshake ended without its end")
			}
		})
	}
	helloed.Wait()
	v := watch(t, s, webrtc.SettingEngine{})
	v.waitState(webrtc.PeerConnectionStateConnected)
	if waiting := s.server.Stats().Viewers - 1; waiting < 16*runtime.GOMAXPROCS(0) {
		t.Errorf("it was kept waiting until only %d were there", waiting)
	}
}
