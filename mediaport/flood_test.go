package mediaport

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"

	"github.com/pion/stun/v3"
)

// heap is the bytes of what can be reached.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools held too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestFloodFromStrangers: datagrams of all kinds from ever new addresses that nobody knows take no memory.
func TestFloodFromStrangers(t *testing.T) {
	const datagrams = 200_000
	const most = 1 << 20 // bytes
	s := openFor(t, "127.0.0.1:0", Options{Shards: 1})
	known := newSession()
	e := s.NewEndpoint("known", known)
	e.Open()
	limiter := newSourceLimiter()
	before := heap()
	check := checkFor(t, "nobody")
	response := built(t)(stun.Build(stun.TransactionID, stun.BindingSuccess, stun.Fingerprint)).Raw
	payload := make([]byte, 1200)
	peak := int64(0)
	for i := range datagrams {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], 0x0b000000+uint32(i)*2654435761>>8) // 11.0.0.0 and on
		from := netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(1024+i%60000))
		local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		binary.BigEndian.PutUint32(payload[8:], uint32(i)) // ever new SSRCs
		switch i % 6 {
		case 0:
			s.dispatch(limiter, check, from, local)
		case 1: // RTP
			payload[0], payload[1] = 0x80, 96
			s.dispatch(limiter, payload, from, local)
		case 2: // SRTCP, a receiver report
			payload[0], payload[1] = 0x81, 201
			s.dispatch(limiter, payload[:48], from, local)
		case 3: // a DTLS handshake record
			payload[0], payload[1] = 22, 254
			s.dispatch(limiter, payload, from, local)
		case 4:
			s.dispatch(limiter, response, from, local)
		default:
			payload[0] = 64 // a channel of TURN
			s.dispatch(limiter, payload[:100], from, local)
		}
		if i%(datagrams/4) == datagrams/8 {
			peak = max(peak, heap()-before)
		}
	}
	if peak = max(peak, heap()-before); peak > most {
		t.Errorf("%d bytes are held, more than %d", peak, most)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.byAddress) > 0 || len(s.byUfrag) != 1 || len(known.checks)+len(known.answers)+len(known.packets) > 0 {
		t.Errorf("strangers are known: %d addresses, %d names", len(s.byAddress), len(s.byUfrag))
	}
}
