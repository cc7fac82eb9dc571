package media

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"

	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestJunkOnTheMediaPort does no harm to what is live.
func TestJunkOnTheMediaPort(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	b.WaitSent(3)
	v := s.Watch(t, harness.Cats)
	conn, err := net.Dial("udp", s.Media)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	random := rand.New(rand.NewPCG(1, 2))
	starts := [][]byte{
		nil, {0}, {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, {0, 1, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42}, // STUN
		{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1}, {22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, // DTLS
		{0x80, 96, 0, 1}, {0x9f, 0xff}, {0x80, 200, 0, 6}, {0x81, 201, 0xff, 0xff}, // RTP and RTCP
	}
	for i := range 3000 {
		datagram := bytes.Clone(starts[i%len(starts)])
		for range random.IntN(1300) {
			datagram = append(datagram, byte(random.Uint32()))
		}
		_, _ = conn.Write(datagram) // it may be refused, which is fine
	}
	v.WaitFrame(b.Sent() + 50)
	if err := v.CheckContinuous(); err != nil {
		t.Error(err)
	}
	s.Watch(t, harness.Cats).WaitFrame(b.Sent())
}
