package bench

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"siaran/internal/testutil"
)

// TestKernelSamplesAndCounts sends all kinds of datagrams to a sampled viewer, directly and through a relay.
func TestKernelSamplesAndCounts(t *testing.T) {
	t.Run("direct", func(t *testing.T) { sampleAndCount(t, false) })
	t.Run("relayed", func(t *testing.T) { sampleAndCount(t, true) })
}

func sampleAndCount(t *testing.T, relayed bool) {
	p, err := newPump()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	v := newViewer(&audience{stamper: newStamper()}, false, credentials{"me", "mypassword"}, 1)
	port, err := v.open(p, false)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	a, err := parseAnswer([]byte(goodAnswer))
	if err != nil {
		t.Fatal(err)
	}
	v.mu.Lock()
	if err := v.socket.connect(server.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		t.Fatal(err)
	}
	if relayed {
		v.relay = newRelayClient(v.socket, false, relayServer{})
		v.relay.peers = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")}
	}
	v.socket.sample(relayed)
	v.mu.Unlock()
	v.begin(a, 1)

	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	send := func(b []byte) {
		if relayed {
			b = append([]byte{0x40, 0, byte(len(b) >> 8), byte(len(b))}, b...)
		}
		if _, err := server.WriteToUDPAddrPort(b, to); err != nil {
			t.Fatal(err)
		}
	}
	early := func() int {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.early)
	}
	dropped := func() uint64 {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.socket.dropped()
	}
	for n := range 640 {
		b := make([]byte, 100)
		b[0], b[1] = 0x80, 96
		if n%3 == 0 {
			b[1] |= 0x80 // the marker
		}
		binary.BigEndian.PutUint16(b[2:], uint16(n)+65000)
		send(b)
	}
	for kind := byte(200); kind < 208; kind++ { // RTCP, whose length looks like a sequence number
		send([]byte{0x80, kind, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	send([]byte{22, 254, 253, 0}) // DTLS
	deadline := time.Now().Add(testutil.Patience)
	for (early() != 18 || len(v.pipe.queue) != 1 || dropped() != 630) && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if early() != 18 || len(v.pipe.queue) != 1 { // 10 of 640, and 8
		t.Errorf("%d media packets and %d DTLS packets arrived, want 18 and 1", early(), len(v.pipe.queue))
	}
	if dropped() != 630 {
		t.Errorf("%d packets count as dropped, want 630", dropped())
	}
}

func TestLookAtOwnProcess(t *testing.T) {
	before, err := lookAt(1 << 29)
	if err == nil {
		t.Errorf("a process that cannot exist: %+v", before)
	}
	before, err = lookAt(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var spin atomic.Int64
	for begun := ownCPU(); ownCPU()-begun < 20*time.Millisecond; {
		spin.Add(1)
	}
	after, err := lookAt(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	used := after.cpu - before.cpu
	if used < 20*time.Millisecond || after.rss < 1<<20 || after.threads < 2 || len(after.switches) < 2 {
		t.Errorf("%s %+v", used, after)
	}
	if total, ok := machineCPU(); !ok || total < after.cpu {
		t.Errorf("the CPU time of the machine is %s", total)
	}
}
