package egress_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/testutil"
)

// Bytes in a payload of layered.frame.
const (
	markLayer  = 20 // which layer, by its place in rids
	markNumber = 24 // the frame's number, four bytes
)

// layered is a stage whose video has several layers, the smallest first.
type layered struct {
	*stage
	rids   []string
	number uint32

	mu     sync.Mutex
	silent []string // layers of which nothing is written
}

func newLayered(t testing.TB, codec siaran.CodecName, rids ...string) *layered {
	s := &layered{stage: newStage(t, codec), rids: rids}
	pub, err := s.hub.Publish(stream, "me", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}},
		{Codec: siaran.Codec{Name: codec, ClockRate: 90000}, RIDs: rids},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.pub = pub
	s.frame()
	return s
}

// frame writes a VP8 frame of each layer.
func (s *layered) frame() {
	s.t.Helper()
	now := time.Now()
	s.number++
	s.time += 1800
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, rid := range s.rids {
		if slices.Contains(s.silent, rid) {
			continue
		}
		w := s.pub.Writer(siaran.KindVideo, rid)
		payload := make([]byte, 200*(i+1))
		payload[0], payload[1] = 0x10, 1
		if w.KeyframeWanted() || s.number%50 == 1 {
			size := byte(100 * (i + 1) / 2)
			copy(payload[1:], []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, size, 0, size, 0})
		}
		payload[markLayer] = byte(i)
		binary.BigEndian.PutUint32(payload[markNumber:], s.number)
		if err := w.Write(int64(s.number), s.time, true, payload, now); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *layered) silence(rids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = rids
}

// play writes 50 frames a second until the test ends.
func (s *layered) play() {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				s.frame()
				s.sound()
			}
		}
	})
	s.t.Cleanup(func() { close(done); wg.Wait() })
}

// views waits until the server says that the viewer gets this.
func (s *layered) views(v *peer, what string, f func(siaran.Viewing) bool) {
	s.t.Helper()
	testutil.Eventually(s.t, what, func() bool {
		got, err := s.server.Viewing(v.id)
		got.Target = 0 // as estimated
		return err == nil && f(got)
	})
}

// shows waits until the viewer gets a layer, and checks that numbers and timestamps continue up to there.
func (s *layered) shows(v *peer, layer int) {
	s.t.Helper()
	last := v.next(v.video)
	for deadline := time.Now().Add(testutil.Patience); time.Now().Before(deadline); {
		p := v.next(v.video)
		if p.SequenceNumber != last.SequenceNumber+1 {
			s.t.Fatalf("number %d after %d", p.SequenceNumber, last.SequenceNumber)
		}
		if step := int32(p.Timestamp - last.Timestamp); step <= 0 || step > 5*90000 {
			s.t.Fatalf("the timestamp moves by %d", step)
		}
		key := p.Payload[1]&1 == 0
		if p.Payload[markLayer] != last.Payload[markLayer] && !key {
			s.t.Fatalf("layer %d begins without a key frame", p.Payload[markLayer])
		}
		if last = p; int(p.Payload[markLayer]) == layer {
			return
		}
	}
	s.t.Fatalf("layer %d does not come", layer)
}

func TestViewerChooses(t *testing.T) {
	s := newLayered(t, siaran.VP8, "l", "m", "h")
	s.play()
	v := watch(t, s.stage, webrtc.SettingEngine{})
	s.shows(v, 2)
	s.views(v, "the largest layer by itself", func(got siaran.Viewing) bool {
		return got == siaran.Viewing{RID: "h", Width: 150, Height: 150, Automatic: true, Reason: siaran.ViewingBest}
	})
	choose := func(c siaran.LayerChoice) {
		t.Helper()
		if err := s.server.Choose(v.id, c); err != nil {
			t.Fatal(err)
		}
	}
	choose(siaran.LayerChoice{RID: "l"})
	s.shows(v, 0)
	s.views(v, "the layer chosen", func(got siaran.Viewing) bool {
		return got == siaran.Viewing{RID: "l", Width: 50, Height: 50, Reason: siaran.ViewingChosen}
	})
	choose(siaran.LayerChoice{MaxHeight: 149})
	s.shows(v, 1)
	choose(siaran.LayerChoice{MaxWidth: 20})
	s.shows(v, 0)
	s.views(v, "the smallest layer for want of one as small", func(got siaran.Viewing) bool {
		return got == siaran.Viewing{RID: "l", Width: 50, Height: 50, Reason: siaran.ViewingChosen}
	})
	choose(siaran.LayerChoice{AudioOnly: true})
	s.views(v, "sound only", func(got siaran.Viewing) bool {
		return got == siaran.Viewing{Reason: siaran.ViewingSound}
	})
	testutil.Eventually(t, "sound comes, and no picture any more", func() bool { // what was on its way comes first
		for _, queued := range []chan *rtp.Packet{v.video, v.audio} {
			for len(queued) > 0 {
				<-queued
			}
		}
		for range 3 {
			v.next(v.audio)
		}
		return len(v.video) == 0
	})
	choose(siaran.LayerChoice{})
	s.shows(v, 2)
	for _, c := range []siaran.LayerChoice{{RID: "x"}, {MaxWidth: -1}, {Temporal: new(-1)}, {MaxSpatial: new(8)}} {
		if err := s.server.Choose(v.id, c); !errors.Is(err, siaran.ErrUnacceptable) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := s.server.Choose("other", siaran.LayerChoice{}); !errors.Is(err, siaran.ErrUnknownSession) {
		t.Errorf("of another session: %v", err)
	}
}

// The chosen layer falls silent: the next lower one comes, and the chosen one when it is back.
func TestChosenLayerFallsSilent(t *testing.T) {
	s := newLayered(t, siaran.VP8, "l", "m", "h")
	s.play()
	v := watch(t, s.stage, webrtc.SettingEngine{})
	if err := s.server.Choose(v.id, siaran.LayerChoice{RID: "m"}); err != nil {
		t.Fatal(err)
	}
	s.shows(v, 1)
	s.silence("m")
	s.shows(v, 0)
	s.views(v, "why", func(got siaran.Viewing) bool { return got.Reason == siaran.ViewingSilent })
	s.silence()
	s.shows(v, 1)
}

// A viewer that changes its mind all the time gets a picture that can be decoded, and costs nobody anything.
func TestViewerThatCannotDecide(t *testing.T) {
	s := newLayered(t, siaran.VP8, "l", "m", "h")
	s.play()
	v := watch(t, s.stage, webrtc.SettingEngine{})
	s.shows(v, 2)
	for i := range 300 {
		c := siaran.LayerChoice{RID: s.rids[i%3], AudioOnly: i%7 == 0}
		if err := s.server.Choose(v.id, c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := s.server.Choose(v.id, siaran.LayerChoice{RID: "l"}); err != nil {
		t.Fatal(err)
	}
	s.shows(v, 0)
}

func TestChoiceOfStreamWithoutVideo(t *testing.T) {
	for c, ok := range map[siaran.LayerChoice]bool{
		{}: true, {AudioOnly: true}: true, {RID: "l"}: false, {RID: "l", AudioOnly: true}: false,
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			if err := c.Check(nil); (err == nil) != ok {
				t.Error(err)
			}
		})
	}
}
