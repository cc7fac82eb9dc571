package turn

import (
	"net/netip"
	"testing"

	"github.com/pion/stun"
)

// told is the way of a client that does something when the allocation ends.
type told struct{ end func() }

func (w told) replyPath(netip.AddrPort, netip.Addr) replyPath { return w }
func (w told) data([]byte, int, uint16, []byte) (lost int)    { return 0 }
func (w told) answer([]byte)                                  {}
func (w told) ended(bool)                                     { w.end() }

func requested(client netip.AddrPort, user string) (r *request) {
	m := stun.MustBuild(stun.TransactionID, allocateRequest, transportUDP)
	return &request{message: m, client: client, user: user, id: user}
}

// TestEndedMeansForgotten: what waits for the end of an allocation, as Close does, finds no count of it and no list
// with it, however late the goroutine that ends it comes to run.
func TestEndedMeansForgotten(t *testing.T) {
	for _, byPion := range []bool{false, true} {
		s := open(t)
		client := netip.MustParseAddrPort("192.0.2.1:4000")
		var a *allocation
		var f *interposer
		calls := 0
		f = newInterposer(s.Server, told{func() {
			calls++
			select {
			case <-a.done:
				t.Error("the end was reported before everything was done")
			default:
			}
			f.list(a) // pion's goroutine may be in the middle of making it
			if f.allocationOf(client) != nil {
				t.Error("an allocation that ends is listed")
			}
		}})
		var code stun.ErrorCode
		if a, code = s.allocate(f, requested(client, "a")); code != 0 {
			t.Fatal(code)
		}
		f.list(a)
		a.end(byPion)
		<-a.done
		s.Server.mu.RLock()
		n := len(s.allocations) + len(s.perCredential) + len(s.perSource)
		if n != 0 || calls != 1 || f.allocationOf(client) != nil {
			t.Errorf("%d counts are left, the end was reported %d times", n, calls)
		}
		s.Server.mu.RUnlock()
		s.running.Done() // there is no goroutine of pion's
	}
}
