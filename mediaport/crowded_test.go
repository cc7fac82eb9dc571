package mediaport

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// crowded is a reader's limits while others of a client's host or network send all that these may.
type crowded struct{}

func (crowded) check(netip.AddrPort, time.Time) (alone, together bool) { return true, false }
func (crowded) datagram(netip.AddrPort, time.Time) bool                { return true }

// What others behind the same NAT send, or forge in a viewer's name, does not end its consent. It keeps no checks away
// from a session that has proven to be at an address or has been vouched for, and no answers to our questions.
func TestFloodFromTheHostOfASession(t *testing.T) {
	s, viewer, broadcaster := openFor(t, "127.0.0.1:0", Options{}), newSession(), newSession()
	ve, be := s.NewEndpoint("viewer", viewer), s.NewEndpoint("broadcaster", broadcaster)
	ve.Open()
	be.Open()
	home, studio := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	stranger := netip.MustParseAddrPort("192.0.2.1:9")
	now := time.Now()
	send := func(b []byte, from netip.AddrPort) { s.dispatch(crowded{}, b, from, netip.Addr{}) }

	vc := ve.Claim(home)
	vc.Bind(now)
	if send(checkFor(t, "viewer"), home); len(viewer.checks) != 0 {
		t.Error("a check of an address that has not proven itself was let through")
	}
	vc.Prove(now)
	if send(checkFor(t, "viewer"), home); len(viewer.checks) != 1 {
		t.Error("a viewer's check was dropped")
	}
	question := built(t)(stun.Build(stun.TransactionID, stun.BindingRequest))
	ve.Expect(question.TransactionID)
	answer := built(t)(stun.Build(question, stun.BindingSuccess, stun.Fingerprint)).Raw
	if send(answer, home); len(viewer.answers) != 1 {
		t.Error("a viewer's answer was dropped, so its consent runs out")
	}
	ve.Forget(question.TransactionID)
	if send(answer, home); len(viewer.answers) != 1 {
		t.Error("an answer was taken twice")
	}
	if send(checkFor(t, "viewer"), stranger); len(viewer.checks) != 1 {
		t.Error("a stranger's check was not dropped")
	}
	be.Claim(studio).Vouch(now)
	if send(checkFor(t, "broadcaster"), studio); len(broadcaster.checks) != 1 {
		t.Error("a broadcaster's check was dropped")
	}
	if n := s.Limited(); n != 2 {
		t.Errorf("%d datagrams were limited, want 2", n)
	}
}
