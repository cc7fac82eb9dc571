package ingest

import (
	"bytes"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
)

// What AV1 with spatial layers needs to be taken apart passes a pull.
func TestPullBringsDescriptors(t *testing.T) {
	edge, origin := start(t, nil), startParent(t)
	pub, err := origin.hub.PublishFrom("cats", "owner", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.AV1, ClockRate: 90000}},
	}, siaran.Origin{ID: parentBroadcast})
	if err != nil {
		t.Fatal(err)
	}
	packets := sent(t, "av1-l3t3-key-described", 45, 13)
	var d codec.Descriptors
	for i, p := range packets {
		said := d.Read(p.GetExtension(13), int64(p.Timestamp))
		said.Apart = d.Apart(p.GetExtension(13), p.Payload)
		if err := pub.Writers()[0].WriteDescribed(int64(i), int64(p.Timestamp), p.Marker, p.Payload, time.Now(),
			said); err != nil {
			t.Fatal(err)
		}
	}
	edge.pull(t, origin.exchange(nil))
	b, err := edge.hub.Broadcast("cats")
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range follow(t, b.Video().Layers[0], len(packets)) {
		want := packets[i]
		if got.Apart == nil || !bytes.Equal(got.Apart.Payload, want.Payload) ||
			!bytes.Equal(got.Apart.Descriptor, want.GetExtension(13)) {
			t.Errorf("packet %d came as %+v", i, got.Apart)
		}
	}
	if l := b.Video().Layers[0]; !l.Apart() {
		t.Error("the edge's viewers cannot take it apart")
	}
}
