package egress

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/internal/sdp"
	"siaran/internal/testutil"
	"siaran/mediaport"

	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"
)

func restarted(t *testing.T, l *link) *credentials {
	t.Helper()
	c, err := l.restart(l.current().ufrag, sdp.RandomText(8), sdp.RandomText(24))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantTables fails the test when the port knows more of sessions than these numbers.
func wantTables(t *testing.T, s *mediaport.Socket, names, addresses int) {
	t.Helper()
	for table, want := range map[string]int{"byUfrag": names, "byAddress": addresses, "byQuestion": 0} {
		testutil.Eventually(t, "little is left in "+table, func() bool {
			return reflect.ValueOf(s).Elem().FieldByName(table).Len() <= want
		})
	}
}

// TestRestart: the old path is used until one of the new ICE session has proven itself and is nominated. From then on
// the credentials before count for nothing.
func TestRestart(t *testing.T) {
	s, l, _ := checkStage(t)
	nominate := []stun.Setter{setAttribute(controlling), setAttribute(useCandidate)}
	old := newChecker(t, s, l)
	old.check(l.pwd, nominate...)
	old.selects(old.address())

	forgotten := restarted(t, l)
	next := restarted(t, l)
	fresh := newChecker(t, s, l)
	if old.ice == next || fresh.ice != next || l.named(forgotten.ufrag) != nil {
		t.Fatal("the newest ICE session is not that of the last restart")
	}
	if r := fresh.check(old.ice.pwd, nominate...); r == nil || r.Type.Class != stun.ClassErrorResponse {
		t.Errorf("the password before is answered with %v", r)
	}
	inUse := func() { old.source().Hear(time.Now().Add(time.Hour)) } // however long this takes
	inUse()
	fresh.mute = true
	fresh.check(next.pwd, nominate...)
	if got := l.selected.Load(); got != old.source() || got == nil {
		t.Error("an address without proof has the media")
	}
	if r := old.check(old.ice.pwd, setAttribute(controlling)); r == nil || r.Type != stun.BindingSuccess {
		t.Error("the ICE session before is over, and the new one has no path")
	}
	inUse()
	fresh.mute = false
	testutil.Eventually(t, "proof", func() bool { // the question comes again after a while
		fresh.check(next.pwd, setAttribute(controlling))
		return fresh.source().Proven()
	})
	if l.selected.Load() != old.source() {
		t.Error("media left a path that is in use without a nomination")
	}
	fresh.check(next.pwd, nominate...)
	fresh.selects(fresh.address())
	old.ignored(old.ice.pwd, nominate...)
	if old.source() != nil || l.current() != next {
		t.Error("something of the ICE session before is left")
	}
	wantTables(t, s, 1, 1)
}

// TestRestartAtTheSameAddress: an address that has proven itself proves itself again with the new credentials, and what
// comes from there is the session's all the time.
func TestRestartAtTheSameAddress(t *testing.T) {
	s, l, _ := checkStage(t)
	nominate := []stun.Setter{setAttribute(controlling), setAttribute(useCandidate)}
	c := newChecker(t, s, l)
	c.check(l.pwd, nominate...)
	c.selects(c.address())
	var reports int
	var mu sync.Mutex
	ownerOf(l).onReport = func([]byte) {
		mu.Lock()
		defer mu.Unlock()
		reports++
	}
	l.in.use(sealer(t, srtp.ProtectionProfileAeadAes128Gcm))
	out := sealer(t, srtp.ProtectionProfileAeadAes128Gcm)
	for i := range 5 {
		c.ice = restarted(t, l)
		c.mute = true
		c.check(c.ice.pwd, nominate...)
		if got := l.selected.Load(); got == nil || got.ice == c.ice {
			t.Fatal("the address has not proven itself with the new credentials")
		}
		want := 2*i + 1
		for _, mute := range []bool{true, false} {
			if c.mute = mute; !mute {
				testutil.Eventually(t, "the new ICE session", func() bool {
					c.check(c.ice.pwd, nominate...)
					return l.selected.Load().ice == c.ice
				})
			}
			if _, err := c.conn.Write(sealedReport(t, out, 1)); err != nil {
				t.Fatal(err)
			}
			testutil.Eventually(t, "its report", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return reports == want
			})
			want++
		}
	}
	wantTables(t, s, 1, 1)
	l.close()
	wantTables(t, s, 0, 0)
}

// TestRestartFollowsALostPath: when the old path is silent, media goes to the first address that proves itself.
func TestRestartFollowsALostPath(t *testing.T) {
	s, l, _ := checkStage(t)
	old := newChecker(t, s, l)
	old.check(l.pwd, setAttribute(controlling), setAttribute(useCandidate))
	old.selects(old.address())
	old.source().Hear(time.Now().Add(-quietPath - time.Second))
	next := restarted(t, l)
	fresh := newChecker(t, s, l)
	fresh.check(next.pwd, setAttribute(controlling))
	fresh.selects(fresh.address())
}

// TestRestartsLeaveNothing restarts sessions that are being ended, and looks for what is left of them.
func TestRestartsLeaveNothing(t *testing.T) {
	s, offer := serverWithSound(t)
	for range 200 {
		answer, err := s.Offer(context.Background(), "s", "", netip.Addr{}, offer)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for {
					info, err := s.Session(answer.Session)
					if err == nil {
						_, err = s.Restart(answer.Session, info.Tag,
							&sdp.Fragment{Ufrag: sdp.RandomText(8), Password: sdp.RandomText(24)})
					}
					if errors.Is(err, siaran.ErrUnknownSession) {
						return
					}
					if err != nil && !errors.Is(err, siaran.ErrTagChanged) {
						t.Error(err)
						return
					}
				}
			})
		}
		if err := s.End(answer.Session); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
	wantTables(t, s.socket, 0, 0)
}
