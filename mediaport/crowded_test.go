package mediaport

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// crowded is a reader's limits while others send all that a client's address, host or network may.
type crowded struct{}

func (crowded) check(_ netip.AddrPort, own bool, _ time.Time) bool { return own }
func (crowded) datagram(netip.AddrPort, time.Time) bool            { return true }

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
	if send(checkFor(t, "broadcaster"), home); len(broadcaster.checks) != 0 {
		t.Error("a check of another session was not dropped")
	}
	be.Claim(studio).Vouch(now)
	if send(checkFor(t, "broadcaster"), studio); len(broadcaster.checks) != 1 {
		t.Error("a broadcaster's check was dropped")
	}
	if n := s.Stats().Limited; n != 3 {
		t.Errorf("%d datagrams were limited, want 3", n)
	}
}

// Junk from the address of a session, as who forges it may send, hides none of the session's checks.
func TestJunkHidesNoChecks(t *testing.T) {
	s, viewer, broadcaster := openFor(t, "127.0.0.1:0", Options{}), newSession(), newSession()
	ve, be := s.NewEndpoint("viewer", viewer), s.NewEndpoint("broadcaster", broadcaster)
	ve.Open()
	be.Open()
	now := time.Now()
	home, studio := ve.Claim(netip.MustParseAddrPort("192.0.2.1:1")), be.Claim(netip.MustParseAddrPort("192.0.2.1:2"))
	home.Prove(now)
	home.Bind(now)
	studio.Vouch(now)
	limiter := newSourceLimiter()
	junk := checkFor(t, "nobody")
	for _, c := range []*Claim{home, studio} {
		for range 100 * maxChecks { // in one window, or in several that it fills
			s.dispatch(limiter, junk, c.Address(), netip.Addr{})
		}
	}
	s.dispatch(limiter, checkFor(t, "viewer"), home.Address(), netip.Addr{})
	s.dispatch(limiter, checkFor(t, "broadcaster"), studio.Address(), netip.Addr{})
	if len(viewer.checks) != 1 || len(broadcaster.checks) != 1 {
		t.Errorf("%d checks of the viewer came, and %d of the broadcaster", len(viewer.checks), len(broadcaster.checks))
	}
	if s.Stats().Limited == 0 {
		t.Error("no junk was limited")
	}
}
