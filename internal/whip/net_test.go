package whip

import (
	"sync"
	"testing"

	"github.com/pion/transport/v2/stdnet"
)

// TestInterfacesAtOnce: pion looks at them in the goroutine that gathers candidates and in the one that takes the
// server's, which the race detector watches.
func TestInterfacesAtOnce(t *testing.T) {
	system, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	var looking sync.WaitGroup
	for range 4 {
		looking.Go(func() {
			if list, err := (currentNet{system}).Interfaces(); err != nil || len(list) == 0 {
				t.Errorf("%v, %v", list, err)
			}
		})
	}
	looking.Wait()
}
