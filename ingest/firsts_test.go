package ingest

import (
	"testing"
	"time"
)

// TestPacketBeforeTheConnection: what is told of a session is in order, also when its first packet is seen before the
// connection is.
func TestPacketBeforeTheConnection(t *testing.T) {
	up := time.Now()
	for _, first := range []time.Time{{}, up.Add(-time.Millisecond), up, up.Add(time.Millisecond)} {
		s := &session{up: up, receiver: &receiver{first: first}}
		if packet, keyframe := s.firsts(); packet.IsZero() != first.IsZero() || !packet.IsZero() && packet.Before(up) ||
			!keyframe.IsZero() {
			t.Errorf("the first packet came %v after the connection: %v, %v", first.Sub(up), packet.Sub(up), keyframe)
		}
	}
}
