package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"siaran"
	"siaran/internal/testutil"
)

// twoLayers has a parent with two layers, and a pull of both.
func twoLayers(t *testing.T) (*parent, *Pulled, *receiver) {
	edge := start(t, nil)
	origin := startParent(t)
	origin.layers = []string{"l", "h"}
	origin.publish()
	origin.play(25)
	p, err := edge.Pull(t.Context(), PullConfig{
		Stream: "cats", Owner: "relay", Layers: origin.layers, Exchange: origin.exchange(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return origin, p, p.session.receiver
}

// TestPullsEveryLayer, with the picture of each under the time that it has at the parent.
func TestPullsEveryLayer(t *testing.T) {
	origin, p, _ := twoLayers(t)
	video := p.Broadcast().Video()
	if len(video.Layers) != 2 || video.Layers[0].RID() != "l" || video.Layers[1].RID() != "h" {
		t.Fatalf("%+v", video)
	}
	for i, l := range video.Layers {
		testutil.Eventually(t, "both layers come", func() bool { return l.Head() > 50 })
		theirs := origin.pub.Broadcast().Video().Layers[i]
		mine := l.Get(l.Head() - 1)
		found := false
		for seq := theirs.Head() - 1; seq >= theirs.Tail(); seq-- {
			if q := theirs.Get(seq); q != nil && string(q.Payload) == string(mine.Payload) {
				found = uint32(q.Timestamp) == uint32(mine.Timestamp)
				break
			}
		}
		if !found {
			t.Errorf("layer %q is not the parent's", l.RID())
		}
	}
}

// TestUnneededLayerRests: it stops at the parent, and goes on from a key frame when it is needed.
func TestUnneededLayerRests(t *testing.T) {
	_, p, r := twoLayers(t)
	low, high := p.Broadcast().Video().Layers[0], p.Broadcast().Video().Layers[1]
	testutil.Eventually(t, "both layers come", func() bool { return low.Head() > 10 && high.Head() > 10 })
	r.mu.Lock()
	for _, l := range r.demux.layers {
		l.demand.began = time.Now().Add(-restAfter)
	}
	r.mu.Unlock()
	high.Need()
	testutil.Eventually(t, "the layer that nobody needs rests", low.Resting)
	head := func() (n int64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.demux.layers[1].current.highest
	}
	var before int64
	testutil.Eventually(t, "it does not come any more", func() bool {
		was := before
		before = head()
		mark := high.Head()
		testutil.Eventually(t, "the other one comes", func() bool { high.Need(); return high.Head() > mark+20 })
		return was == head()
	})
	if high.Resting() {
		t.Error("the layer that is needed rests")
	}
	low.Need()
	testutil.Eventually(t, "it comes again", func() bool {
		low.Need()
		_, ok := low.Keyframe()
		return ok && !low.Resting()
	})
	if lost := low.Stats().Lost; lost > 100 {
		t.Errorf("%d packets count as lost, not as paused", lost)
	}
}

// TestDemand goes through what a layer's demand tells the parent, by the clock.
func TestDemand(t *testing.T) {
	now := time.Now()
	d := demand{}
	if d.due(now, now) {
		t.Error("the parent is told of a layer that was never paused")
	}
	d.paused, d.changed = true, now
	if !d.due(now, now) {
		t.Error("it is not told at once")
	}
	d.told = now
	if d.due(now, now.Add(pauseRepeat)) || !d.due(now.Add(1), now.Add(pauseRepeat)) {
		t.Error("it is told again although it does as it should, or is not although it does not")
	}
	later := now.Add(time.Hour)
	d.paused, d.waking, d.changed = false, true, later
	if !d.due(now, later) {
		t.Error("it is not told that the layer is needed")
	}
	if d.told = later; d.due(now, later.Add(wakeRepeat-1)) || !d.due(now, later.Add(wakeRepeat)) {
		t.Error("it is not told again until the layer comes")
	}
}

// TestParentsWithoutLayers: whatever a parent makes of the sections, there is one video track.
func TestParentsWithoutLayers(t *testing.T) {
	for name, edit := range map[string]func(string) string{
		"names none": func(s string) string {
			return strings.NewReplacer("a=rid:l send\r\n", "", "a=rid:h send\r\n", "").Replace(s)
		},
		"names another":   func(s string) string { return strings.ReplaceAll(s, "a=rid:h send", "a=rid:x send") },
		"names one twice": func(s string) string { return strings.ReplaceAll(s, "a=rid:h send", "a=rid:l send") },
		"refuses the other": func(s string) string {
			last := strings.LastIndex(s, "m=video ")
			return s[:last] + "m=video 0 " + strings.SplitN(s[last:], " ", 3)[2]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edge := start(t, nil)
			origin := startParent(t)
			origin.layers = []string{"l", "h"}
			origin.publish()
			origin.play(25)
			p, err := edge.Pull(t.Context(), PullConfig{
				Stream: "cats", Owner: "relay", Layers: origin.layers,
				Exchange: origin.exchange(func(b []byte) []byte { return []byte(edit(string(b))) }),
			})
			if name == "names one twice" || name == "names none" {
				if err == nil {
					t.Error("accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if n := len(p.Broadcast().Video().Layers); n != 1 {
				t.Errorf("%d layers", n)
			}
		})
	}
}

func TestPulledSections(t *testing.T) {
	for _, test := range []struct {
		layers []string
		videos int
	}{{nil, 1}, {[]string{""}, 1}, {[]string{"h"}, 1}, {[]string{"l", "h"}, 2}, {[]string{"l", "l"}, 1},
		{[]string{"l", "a b"}, 1}, {strings.Split("abcdefghijkl", ""), maxPulledLayers}} {
		list := pulledSections(test.layers)
		if len(list) != test.videos+1 || list[0].kind != siaran.KindAudio {
			t.Errorf("%q: %v", test.layers, list)
		}
	}
}

func TestBitrateRequest(t *testing.T) {
	for _, pause := range []bool{true, false} {
		b, err := rtcp.Marshal([]rtcp.Packet{bitrateRequest(1, 2, pause)})
		if err != nil || len(b) != 20 {
			t.Fatal(b, err)
		}
		if zero := b[17]&1 == 0 && b[18]>>1 == 0 && b[17] == 0; zero != pause {
			t.Errorf("%x", b)
		}
	}
}
