package egress

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v2"

	"siaran"
)

// TestReportsAreConsent: a viewer that reports is there, also when it makes no checks; what anybody may send is nothing.
func TestReportsAreConsent(t *testing.T) {
	hub := siaran.NewHub(time.Second)
	defer hub.Close()
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := Listen("127.0.0.1:0", SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l := newLink(socket, "r")
	l.in = sealer(t, srtp.ProtectionProfileAeadAes128Gcm)
	v := newViewer(l, []plan{{Kind: siaran.KindVideo, ClockRate: 90000, Layers: pub.Broadcast().Video().Layers, SSRC: 9}}, nil)
	w := newWorker(socket, socket.ports[0], defaultBurst)
	now := time.Now()
	l.lastCheck.Store(now.Add(-consentTime).UnixNano())

	plain, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealer(t, srtp.ProtectionProfileAeadAes128Gcm).EncryptRTCP(nil, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	forged := append([]byte(nil), sealed...)
	forged[len(forged)-6] ^= 1
	v.handleRTCP(w, forged, now)
	if l.consented(now) {
		t.Error("a forged report was taken for consent")
	}
	v.handleRTCP(w, sealed, now)
	if !l.consented(now) || l.consented(now.Add(consentTime)) {
		t.Error("consent does not follow from a report, or does not end")
	}
}
