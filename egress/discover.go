package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pion/stun"
)

// The first wait for an answer of a STUN server; each next one is twice as long (RFC 8489 section 6.2.1).
const discoveryWait = 500 * time.Millisecond

// discovery is one question to a STUN server.
type discovery struct {
	server netip.AddrPort
	id     [stun.TransactionIDSize]byte
	answer chan netip.AddrPort // of one
}

// Discover asks a STUN server (RFC 8489) how it sees the media port, announces that before all other
// addresses from then on, and returns it. It asks until ctx ends. When it fails, what was discovered
// before stays announced. One call at a time.
func (s *Socket) Discover(ctx context.Context, server netip.AddrPort) (netip.AddrPort, error) {
	server = netip.AddrPortFrom(server.Addr().Unmap(), server.Port())
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	if err != nil {
		return netip.AddrPort{}, err
	}
	d := &discovery{server: server, id: request.TransactionID, answer: make(chan netip.AddrPort, 1)}
	if !s.discovery.CompareAndSwap(nil, d) {
		return netip.AddrPort{}, errors.New("a discovery is running already")
	}
	defer s.discovery.Store(nil)
	to := s.path(server, netip.Addr{})
	for wait := discoveryWait; ; wait *= 2 {
		// An error may be of a datagram before, or go away.
		failed := s.ports[0].send(request.Raw, to)
		timer := time.NewTimer(wait)
		select {
		case mapped := <-d.answer:
			timer.Stop()
			if !mapped.IsValid() {
				return mapped, fmt.Errorf("the STUN server %s does not tell an address", server)
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

// take looks whether a STUN message is the answer. It is called by the socket's readers.
func (d *discovery) take(b []byte, from netip.AddrPort) bool {
	if from != d.server || len(b) < 20 || !bytes.Equal(b[8:20], d.id[:]) {
		return false
	}
	m := stun.Message{Raw: bytes.Clone(b)}
	if m.Decode() != nil || m.Type.Method != stun.MethodBinding || m.Type.Class == stun.ClassRequest {
		return false
	}
	var mapped stun.XORMappedAddress
	var found netip.AddrPort // stays invalid when there is no answer in it
	value, _ := m.Get(stun.AttrXORMappedAddress)
	// GetFrom panics when the attribute is shorter than its head.
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

// usable tells whether others can send to an address at all.
func usable(ip netip.Addr) bool {
	return !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast() && !ip.IsLoopback()
}
