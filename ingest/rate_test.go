package ingest

import (
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/internal/sdp"
)

func TestRate(t *testing.T) {
	at := time.Unix(1000, 0)
	r := rate{limit: 10_000}
	taken := 0
	for range 100 { // ten times as much as is allowed, for ten seconds
		for range 10 {
			if r.admits(1000, at) {
				taken += 1000
			}
		}
		at = at.Add(100 * time.Millisecond)
	}
	if taken < 109_000 || taken > 110_000 {
		t.Errorf("%d bytes in ten seconds, want a second's worth and the ten", taken)
	}
	r.at = at.Add(time.Hour) // the clock has been set back
	if r.admits(10_001, at) {
		t.Error("more than a second's worth at once")
	}
	if !(&rate{}).admits(1<<30, at) {
		t.Error("bounded although there is no limit")
	}
}

// TestTooManyBits: what is over the bound is dropped and reported, and never reaches the ring of the layer.
func TestTooManyBits(t *testing.T) {
	r := newReceiver(make(chan struct{}, 1))
	r.rate.limit = 1000
	now := time.Now()
	for range 10 {
		r.rtp(make([]byte, 500), now)
	}
	if r.dropped != 8 {
		t.Errorf("%d packets dropped, want 8", r.dropped)
	}
	h := r.addRate(Health{Connected: true}, now)
	h.warn()
	if len(h.Warnings) != 1 || h.Warnings[0].Code != "bitrate" || !strings.Contains(h.Warnings[0].Text, "8 kbit/s") ||
		h.Dropped != 8 {
		t.Errorf("%+v", h)
	}
	h = r.addRate(Health{Connected: true}, now.Add(time.Minute))
	h.warn()
	if len(h.Warnings) != 0 {
		t.Errorf("a warning a minute later: %+v", h.Warnings)
	}
}

// TestTooManyLayers: an offer says how many layers come, and is refused when they are too many.
func TestTooManyLayers(t *testing.T) {
	section := &sdp.Section{Kind: siaran.KindVideo, RIDs: []sdp.RID{{ID: "h"}, {ID: "m"}, {ID: "l"}}}
	chosen := []choice{{section: section}}
	if err := checkLayers(chosen, 3); err != nil {
		t.Error(err)
	}
	if err := checkLayers(chosen, 2); err == nil || !strings.Contains(err.Error(), "at most 2") {
		t.Errorf("%v", err)
	}
}

// TestTooManyPackets: small packets cost the server as much as large ones, so they are bounded by their number too.
func TestTooManyPackets(t *testing.T) {
	r := newReceiver(make(chan struct{}, 1))
	r.rate.limit, r.packets.limit = 1_000_000, 10
	now := time.Now()
	for range 25 {
		r.rtp(make([]byte, 50), now)
	}
	h := r.addRate(Health{Connected: true}, now)
	h.warn()
	if len(h.Warnings) != 1 || h.Warnings[0].Code != "packets" || !strings.Contains(h.Warnings[0].Text, "10 packets") ||
		h.Dropped != 15 {
		t.Errorf("%+v", h)
	}
	if h = r.addRate(Health{Connected: true}, now.Add(time.Minute)); h.tooMany != 0 {
		t.Error("a warning a minute later")
	}
}
