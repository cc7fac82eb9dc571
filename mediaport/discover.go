package mediaport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"
)

// discoveryWait is the first wait for an answer of a STUN server. Each further wait is twice as long (RFC 8489 section
// 6.2.1).
const discoveryWait = 500 * time.Millisecond

// discovery is one question to a STUN server.
type discovery struct {
	server netip.AddrPort
	id     [stun.TransactionIDSize]byte
	answer chan netip.AddrPort // of one
}

// Discover asks a STUN server (RFC 8489) which address it sees the media port at. It returns that address, which is
// announced before all others from then on. It asks until ctx ends. If it fails, an address that was discovered before
// stays announced. Only one call may run at a time.
func (s *Socket) Discover(ctx context.Context, server netip.AddrPort) (netip.AddrPort, error) {
	server = netip.AddrPortFrom(server.Addr().Unmap(), server.Port())
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	if err != nil {
		return netip.AddrPort{}, err
	}
	d := &discovery{server: server, id: request.TransactionID, answer: make(chan netip.AddrPort, 1)}
	if !s.discovery.CompareAndSwap(nil, d) {
		return netip.AddrPort{}, errors.New("a discovery is already running")
	}
	defer s.discovery.Store(nil)
	to := s.Path(server, netip.Addr{})
	for wait := discoveryWait; ; wait *= 2 {
		// The error may be about an earlier datagram, or go away.
		failed := s.ports[0].send(request.Raw, to)
		timer := time.NewTimer(wait)
		select {
		case mapped := <-d.answer:
			timer.Stop()
			if !mapped.IsValid() {
				return mapped, fmt.Errorf("the STUN server %s does not report an address", server)
			}
			s.addresses.discovered(mapped)
			return mapped, nil
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if failed != nil {
				return netip.AddrPort{}, fmt.Errorf("the STUN server %s cannot be asked: %w", server, failed)
			}
			return netip.AddrPort{}, fmt.Errorf("the STUN server %s does not answer", server)
		}
	}
}

// take reports whether a STUN message is the answer, and takes it if so. The socket's readers call it.
func (d *discovery) take(b []byte, from netip.AddrPort) bool {
	if from != d.server || len(b) < 20 || !bytes.Equal(b[8:20], d.id[:]) {
		return false
	}
	m := stun.Message{Raw: bytes.Clone(b)}
	if m.Decode() != nil || m.Type.Method != stun.MethodBinding || m.Type.Class == stun.ClassRequest {
		return false
	}
	var mapped stun.XORMappedAddress
	var found netip.AddrPort // stays invalid if the message holds no address
	value, _ := m.Get(stun.AttrXORMappedAddress)
	// GetFrom panics if the attribute is shorter than its header.
	if m.Type == stun.BindingSuccess && len(value) > 4 && mapped.GetFrom(&m) == nil {
		if ip, ok := netip.AddrFromSlice(mapped.IP); ok && mapped.Port > 0 && usable(ip.Unmap()) {
			found = netip.AddrPortFrom(ip.Unmap(), uint16(mapped.Port))
		}
	}
	select {
	case d.answer <- found:
	default: // answered twice
	}
	return true
}

// usable reports whether others can send to an address.
func usable(ip netip.Addr) bool {
	return !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast() && !ip.IsLoopback()
}
