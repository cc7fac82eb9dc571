package siaran

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// relaySession is a session with a parent that sends the packets of its layer as they are.
type relaySession struct {
	t *testing.T
	p *Publication
}

func relayAgain(t *testing.T, h *Hub, origin Origin) relaySession {
	t.Helper()
	origin.Pulled = true
	p, err := h.PublishFrom("cats", "relay", testTracks, origin)
	if err != nil {
		t.Fatal(err)
	}
	return relaySession{t, p}
}

const resumeStart = 1<<32 - 5*3000 // the timestamps pass what fits into 32 bits

// frames writes frames of one packet each; the numbers are those of the origin, with a key frame every ten.
func (s relaySession) frames(from, to int64) {
	s.t.Helper()
	for n := from; n < to; n++ {
		payload := bytes.Clone(vp8Next)
		if n%10 == 0 {
			payload = bytes.Clone(vp8Key)
		}
		seq, timestamp := n+1000, (resumeStart+n*3000)&(1<<32-1)
		if from < 5 && n >= 5 {
			timestamp += 1 << 32 // a session counts on
		}
		write(s.t, s.p.Writer(KindVideo, ""), seq, timestamp, fmt.Appendf(payload, " frame %d", n), time.Now())
		time.Sleep(time.Second / 30)
	}
}

func wantFrames(t *testing.T, l *Layer, n int64) {
	t.Helper()
	if l.Head() != n {
		t.Fatalf("%d packets are there, want %d", l.Head(), n)
	}
	first := l.Tail() // older ones have been dropped
	for seq := first; seq < n; seq++ {
		p := l.Get(seq)
		if p == nil || !bytes.HasSuffix(p.Payload, fmt.Appendf(nil, " frame %d", seq)) {
			t.Fatalf("packet %d is %+v", seq, p)
		}
		if after := p.Timestamp - l.Get(first).Timestamp; after != (seq-first)*3000 {
			t.Errorf("packet %d is %d after packet %d", seq, after, first)
		}
	}
}

func TestRelayedBroadcastGoesOnWithoutRepetition(t *testing.T) {
	for name, test := range map[string]struct{ before, from int64 }{
		"the same key frame":           {17, 10},
		"right at the key frame":       {11, 10},
		"a key frame of before that":   {27, 10},
		"the next key frame":           {20, 20},
		"what passes 32 bits is known": {4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := NewHub(time.Minute, newSampleFramer)
				defer h.Close()
				one := relayAgain(t, h, Origin{ID: "far"})
				one.frames(0, test.before)
				layer := one.p.Broadcast().Video().Layers[0]
				time.Sleep(time.Second) // until it is noticed that the parent is gone
				one.p.Abandon()
				if s := one.p.Broadcast().State().Status; s != StatusInterrupted {
					t.Fatal(s)
				}
				other := relayAgain(t, h, Origin{ID: "far"})
				other.frames(test.from, test.from+1)
				if s := one.p.Broadcast().State().Status; s != StatusLive {
					t.Error("what is repeated does not make it live:", s)
				}
				other.frames(test.from+1, 35)
				wantFrames(t, layer, 35)
			})
		})
	}
}

// TestOnlyTheSamePacketsAreLeftOut has what looks like a repetition and is none.
func TestOnlyTheSamePacketsAreLeftOut(t *testing.T) {
	for name, again := range map[string]func(t *testing.T, h *Hub) *Publication{
		"other pictures": func(t *testing.T, h *Hub) *Publication {
			s := relayAgain(t, h, Origin{ID: "far"})
			write(t, s.p.Writer(KindVideo, ""), 1010, resumeStart+30_000, vp8Key, time.Now())
			return s.p
		},
		"other clock": func(t *testing.T, h *Hub) *Publication {
			s := relayAgain(t, h, Origin{ID: "far"})
			write(t, s.p.Writer(KindVideo, ""), 1010, resumeStart+1<<30, vp8Key, time.Now())
			return s.p
		},
		"other broadcast": func(t *testing.T, h *Hub) *Publication {
			s := relayAgain(t, h, Origin{ID: "next"})
			s.frames(10, 11)
			return s.p
		},
		"a broadcaster": func(t *testing.T, h *Hub) *Publication {
			p := publish(t, h, "owner", testTracks...)
			relaySession{t, p}.frames(10, 11)
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := NewHub(time.Minute, newSampleFramer)
				defer h.Close()
				one := relayAgain(t, h, Origin{ID: "far"})
				one.frames(0, 15)
				layer := one.p.Broadcast().Video().Layers[0]
				last := layer.Get(14).Timestamp
				one.p.Abandon()
				time.Sleep(time.Second)
				if again(t, h).Broadcast().Video().Layers[0] != layer {
					t.Fatal("its viewers are gone")
				}
				if layer.Head() != 16 || !layer.Get(15).Keyframe || layer.Get(15).Timestamp <= last {
					t.Errorf("%d packets, the newest %+v", layer.Head(), layer.Get(15))
				}
			})
		})
	}
}
