package mediaport

import (
	"encoding/binary"
	"testing"
)

func TestRecentIDs(t *testing.T) {
	var r RecentIDs
	id := func(n int) (id TransactionID) {
		binary.BigEndian.PutUint32(id[4:], uint32(n))
		return id
	}
	for n := range 3 * maxRecent {
		if !r.Add(id(n)) {
			t.Fatalf("the new id %d is known", n)
		}
		for old := max(0, n-maxRecent+1); old <= n; old++ {
			if r.Add(id(old)) {
				t.Fatalf("%d was forgotten after %d others", old, n-old)
			}
		}
	}
	if len(r.ids) != maxRecent {
		t.Errorf("%d ids are kept", len(r.ids))
	}
}
