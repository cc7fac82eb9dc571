package ingest

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/internal/dtlsguard"
	"siaran/internal/sdp"
	"siaran/internal/testutil"
)

// report is an SRTCP packet that says to be of an SSRC.
func report(ssrc uint32) []byte {
	b := make([]byte, 40)
	b[0], b[1], b[3] = 0x81, 201, 1
	binary.BigEndian.PutUint32(b[4:], ssrc)
	return b
}

func packetOf(ssrc uint32) []byte {
	b := media(0)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// flight is a datagram with one whole handshake message.
func flight(number uint32) []byte {
	b := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 1, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 20},
		make([]byte, 20)...)
	binary.BigEndian.PutUint32(b[7:], number)
	return b
}

// alert is one in the clear.
func alert(number uint32, description byte) []byte {
	b := []byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, description}
	binary.BigEndian.PutUint32(b[7:], number)
	return b
}

// TestForgedSourcesTakeFewPlaces has a stranger forge the broadcaster's address.
func TestForgedSourcesTakeFewPlaces(t *testing.T) {
	m := testMux(t)
	offer := &sdp.Offer{Sections: []sdp.Section{{SSRCs: []uint32{7, 8}}}}
	s, err := m.session(local{ufrag: "cats", password: testPassword,
		addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8189")}}, offer, func() {})
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddrPort("198.51.100.1:5000")
	s.HandleCheck(request(t, "cats"), from, netip.Addr{})
	<-s.v4.queue
	through := func(data []byte) bool {
		s.HandlePacket(data, from, netip.Addr{})
		if len(s.v4.queue) == 0 {
			return false
		}
		<-s.v4.queue
		return true
	}
	count := func(make func(uint32) []byte) (n int) {
		for i := range uint32(5000) {
			if through(make(1000 + i)) {
				n++
			}
		}
		return n
	}
	if n := count(report); n != maxReportingSSRCs {
		t.Errorf("reports of %d sources came through", n)
	}
	if n := count(packetOf); n != maxSSRCs {
		t.Errorf("packets of %d sources came through", n)
	}
	for ssrc := range uint32(2) {
		if !through(packetOf(7+ssrc)) || !through(report(7+ssrc)) {
			t.Errorf("the broadcaster's own source %d has no place any more", 7+ssrc)
		}
	}
	if through(packetOf(9)) || through(report(9)) {
		t.Error("there was a place left")
	}
	s.began = s.began.Add(-placeEvery)
	if !through(packetOf(9)) || !through(report(9)) {
		t.Error("a source that came later has no place for good")
	}
	if through([]byte{64, 1, 2}) || through([]byte{200}) || through(report(1)[:7]) {
		t.Error("junk came through")
	}
}

// TestForgedAlertEndsNoHandshake: a datagram of 15 bytes would be enough.
func TestForgedAlertEndsNoHandshake(t *testing.T) {
	m := testMux(t)
	s, err := m.session(local{ufrag: "cats", password: testPassword,
		addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8189")}}, &sdp.Offer{}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddrPort("198.51.100.1:5000")
	s.HandleCheck(request(t, "cats"), from, netip.Addr{})
	<-s.v4.queue
	for _, description := range []byte{0, 40} { // close_notify, handshake_failure
		s.HandlePacket(alert(1, description), from, netip.Addr{})
		if len(s.v4.queue) > 0 {
			t.Fatal("a forged alert came through")
		}
	}
	s.HandlePacket(flight(2), from, netip.Addr{})
	if len(s.v4.queue) == 0 {
		t.Error("the handshake does not go on")
	}
}

// TestConnectedBroadcasterStays has a stranger forge the broadcaster's address and say goodbye in its name, and all
// else that ends a handshake.
func TestConnectedBroadcasterStays(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := publish(t, s, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	share := s.mux.find(b.answer.Tag)
	from := share.address(t)
	for i := range uint32(3) {
		for _, data := range [][]byte{
			alert(1000+3*i, 0), alert(1001+3*i, 40),
			{23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 3, byte(i), 1, 5}, // application data in the clear
		} {
			share.HandlePacket(data, from, netip.Addr{})
		}
	}
	for i := range uint32(4 * dtlsguard.MaxDatagrams) {
		share.HandlePacket(flight(2000+i), from, netip.Addr{})
	}
	deadline := time.Now().Add(2 * time.Second)
	for time.Now().Before(deadline) {
		if s.mux.count() == 0 || b.pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
			t.Fatalf("the broadcaster is %s, %d entries", b.pc.ConnectionState(), s.mux.count())
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.pc.GracefulClose() // its own goodbye is heard
	testutil.Eventually(t, "the goodbye to be heard", func() bool { return s.mux.count() == 0 })
}

// TestLongHandshakeEndsItsSession has a broadcaster that never comes to the end of its handshake.
func TestLongHandshakeEndsItsSession(t *testing.T) {
	s := start(t, nil)
	b := newClient(t, clientOptions{video: webrtc.MimeTypeVP8})
	answer, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, []byte(b.offer()))
	if err != nil {
		t.Fatal(err)
	}
	share := s.mux.find(answer.Tag)
	from := netip.MustParseAddrPort("127.0.0.1:5000")
	share.HandleCheck(requestWith(t, answer.Tag, share.first.password), from, netip.Addr{})
	for i := range uint32(dtlsguard.MaxDatagrams) {
		share.HandlePacket(flight(i), from, netip.Addr{})
	}
	if s.count() != 1 {
		t.Fatal("the session ended too early")
	}
	share.HandlePacket(flight(1000), from, netip.Addr{})
	testutil.Eventually(t, "the end of the session", func() bool { return s.count() == 0 })
}

// address is where the broadcaster sends from.
func (s *muxSession) address(t *testing.T) netip.AddrPort {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for addr, r := range s.bound {
		if r.claim.Vouched() {
			return addr
		}
	}
	t.Fatal("nobody has sent anything")
	return netip.AddrPort{}
}
