package mediaport

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// claims is a socket with two viewers' and two broadcasters' sessions.
type claims struct {
	*Socket
	t        *testing.T
	now      time.Time
	sessions map[string]*session
	claims   map[string]*Claim
}

var home = netip.MustParseAddrPort("192.0.2.1:5000")

func newClaims(t *testing.T) *claims {
	c := &claims{
		Socket: openFor(t, "127.0.0.1:0", Options{}), t: t, now: time.Now(),
		sessions: make(map[string]*session), claims: make(map[string]*Claim),
	}
	for _, name := range []string{"v1", "v2", "b1", "b2"} {
		c.sessions[name] = newSession()
		e := c.NewEndpoint(name, c.sessions[name])
		e.Open()
		c.claims[name] = e.Claim(home)
	}
	return c
}

// goesTo wants packets of media and of DTLS from home to go to these sessions, "" for none.
func (c *claims) goesTo(media, dtls string) {
	c.t.Helper()
	for first, want := range map[byte]string{0x80: media, 22: dtls} {
		heard := make(map[string]int64)
		for name, claim := range c.claims {
			heard[name] = claim.heard.Load()
		}
		c.dispatch(newSourceLimiter(), []byte{first, 96}, home, netip.Addr{})
		got := ""
		for name, s := range c.sessions {
			c.claims[name].heard.Store(heard[name]) // the test has times of its own
			for len(s.packets) > 0 {
				<-s.packets
				got += name
			}
		}
		if got != want {
			c.t.Errorf("a packet that begins with %d goes to %q, want %q", first, got, want)
		}
	}
}

// proves has a viewer's session bind the address after an answer from there.
func (c *claims) proves(name string, at time.Time) {
	c.claims[name].Prove(at)
	c.claims[name].Hear(at)
	c.claims[name].Bind(at)
}

// TestAddressGoesToWhoProvesIt: of viewers' sessions, one that has proven to be at an address keeps it while it uses
// it.
func TestAddressGoesToWhoProvesIt(t *testing.T) {
	c := newClaims(t)
	c.goesTo("", "")
	c.claims["v1"].Bind(c.now)
	c.goesTo("", "v1")
	c.claims["v2"].Bind(c.now)
	c.goesTo("", "v2")
	c.proves("v1", c.now)
	c.goesTo("v1", "v1")
	c.claims["v2"].Bind(c.now)
	c.goesTo("v1", "v1")
	c.claims["v2"].Prove(c.now)
	c.claims["v2"].Bind(c.now.Add(AddressHold))
	c.goesTo("v1", "v1")
	c.claims["v2"].Bind(c.now.Add(AddressHold + time.Second))
	c.goesTo("v2", "v2")
	c.claims["v1"].Drop()
	c.goesTo("v2", "v2")
	c.claims["v2"].Drop()
	c.goesTo("", "")
}

// TestAddressStaysWithItsBroadcaster: a viewer's session gets no address that a broadcaster uses, and a broadcaster's
// check takes one from a viewer's session that does not use it.
func TestAddressStaysWithItsBroadcaster(t *testing.T) {
	c := newClaims(t)
	c.claims["v1"].Bind(c.now)
	c.claims["b1"].Vouch(c.now)
	c.goesTo("b1", "b1")
	c.claims["v1"].Bind(c.now.Add(AddressHold))
	c.goesTo("b1", "b1")
	c.claims["b2"].Vouch(c.now.Add(AddressHold))
	c.goesTo("b1", "b1")
	if !c.claims["b1"].Vouched() || c.claims["b2"].Vouched() {
		t.Error("the address is not the first broadcaster's")
	}

	// It has been silent: a viewer's session that has not proven itself gets its handshake and nothing else.
	c.claims["v1"].Bind(c.now.Add(AddressHold + time.Second))
	c.goesTo("b1", "v1")
	c.claims["b1"].Vouch(c.now.Add(AddressHold + time.Second))
	c.goesTo("b1", "b1")
	c.claims["b2"].Vouch(c.now.Add(3 * AddressHold))
	c.goesTo("b2", "b2")

	// A viewer's session that has proven itself and is in use stays; the broadcaster is next.
	c.proves("v1", c.now.Add(5*AddressHold))
	c.goesTo("v1", "v1")
	c.claims["b1"].Vouch(c.now.Add(5 * AddressHold))
	c.goesTo("v1", "v1")
	c.claims["b1"].Vouch(c.now.Add(7 * AddressHold))
	c.goesTo("b1", "b1")
}

// TestClosedEndpointGetsNothing: what is closed takes no address, and leaves nothing behind.
func TestClosedEndpointGetsNothing(t *testing.T) {
	c := newClaims(t)
	for name, claim := range c.claims {
		if name[0] == 'v' {
			claim.Bind(c.now)
		}
		claim.endpoint.Close(claim)
		claim.Bind(c.now)
		claim.Vouch(c.now)
	}
	c.goesTo("", "")
	if len(c.byAddress) != 0 || len(c.byUfrag) != 0 {
		t.Errorf("%d addresses and %d names are left", len(c.byAddress), len(c.byUfrag))
	}
}

// TestDroppedClaimGetsNothing: a datagram that was being handled when its session gave the address up does not take it
// back. Nothing would give it up then.
func TestDroppedClaimGetsNothing(t *testing.T) {
	c := newClaims(t)
	for name, claim := range c.claims {
		claim.Prove(c.now)
		claim.Drop()
		if name[0] == 'v' {
			claim.Bind(c.now)
		} else {
			claim.Vouch(c.now)
		}
	}
	c.goesTo("", "")
	if len(c.byAddress) != 0 {
		t.Errorf("%d addresses are left", len(c.byAddress))
	}
}

// TestAnswersGoToWhoExpectsThem: no other answer comes to anybody.
func TestAnswersGoToWhoExpectsThem(t *testing.T) {
	c := newClaims(t)
	c.claims["v1"].Vouch(c.now)
	answer := built(t)(stun.Build(stun.TransactionID, stun.BindingSuccess, stun.Fingerprint))
	send := func() { c.dispatch(newSourceLimiter(), answer.Raw, home, netip.Addr{}) }
	send()
	c.claims["b1"].endpoint.Expect(answer.TransactionID)
	send()
	c.claims["b2"].endpoint.Forget(answer.TransactionID) // not its own
	send()
	c.claims["b1"].endpoint.Forget(answer.TransactionID)
	send()
	for name, want := range map[string]int{"v1": 0, "b1": 2, "b2": 0} {
		if got := len(c.sessions[name].answers); got != want {
			t.Errorf("%s got %d answers, want %d", name, got, want)
		}
	}
}

// panicking is a handler that panics over everything.
type panicking struct{ *session }

func (panicking) HandlePacket([]byte, netip.AddrPort, netip.Addr) { panic("for a test") }
func (panicking) HandleCheck([]byte, netip.AddrPort, netip.Addr)  { panic("for a test") }

// TestPanicIsToldToItsSession: a panic over a packet is told to its session; one over a check, which anybody can send,
// is not. The reader goes on.
func TestPanicIsToldToItsSession(t *testing.T) {
	s, bad, good := openFor(t, "127.0.0.1:0", Options{}), panicking{newSession()}, newSession()
	c := newClient(t, s)
	e := s.NewEndpoint("bad", bad)
	e.Open()
	s.NewEndpoint("good", good).Open()
	claim := e.Claim(c.address())
	claim.Prove(time.Now())
	claim.Bind(time.Now())
	c.send(t, checkFor(t, "bad"))
	c.send(t, []byte{0x80, 96})
	c.send(t, checkFor(t, "good"))
	wait(t, good.checks)
	if n := len(bad.panics); n != 1 || s.Faults().Count() != 2 {
		t.Errorf("%d panics were told, %d counted", n, s.Faults().Count())
	}
}
