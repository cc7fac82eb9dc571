package listingtest

import (
	"fmt"
	"testing"
	"time"

	"siaran"
)

// State returns the state of a broadcast that has the same id as its stream.
func State(id string, status siaran.Status) siaran.BroadcastState {
	return siaran.BroadcastState{ID: siaran.BroadcastID(id), Stream: siaran.StreamName(id), Status: status}
}

// Viewers returns viewers with the ids vFROM to vTO-1, and these ids.
func Viewers(from, to int) (list []siaran.Viewer, ids []siaran.ViewerID) {
	for i := from; i < to; i++ {
		id := siaran.ViewerID(fmt.Sprint("v", i))
		list, ids = append(list, siaran.Viewer{ID: id}), append(ids, id)
	}
	return list, ids
}

// Publish makes a stream live in a hub, with one packet of audio.
func Publish(t testing.TB, hub *siaran.Hub, name siaran.StreamName, more ...siaran.TrackSpec) *siaran.Publication {
	t.Helper()
	opus := siaran.TrackSpec{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}}
	p, err := hub.Publish(name, "key:1", append(more, opus))
	if err != nil {
		t.Fatal(err)
	}
	Feed(t, p)
	return p
}

// Feed writes a packet of audio, which makes an interrupted stream live again.
func Feed(t testing.TB, p *siaran.Publication) {
	t.Helper()
	now := time.Now()
	audio := p.Writer(siaran.KindAudio, "")
	if err := audio.Write(now.UnixNano(), now.UnixMicro(), true, []byte{1, 2, 3}, now); err != nil {
		t.Fatal(err)
	}
}

// Join adds a viewer to a broadcast and returns its id.
func Join(t testing.TB, p *siaran.Publication) siaran.ViewerID {
	t.Helper()
	id := siaran.NewViewerID()
	if err := p.Broadcast().Join(siaran.Viewer{ID: id, JoinedAt: time.Now(), Path: "direct"}); err != nil {
		t.Fatal(err)
	}
	return id
}
