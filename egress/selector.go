package egress

import (
	"time"

	"siaran"
	"siaran/internal/bwe"
)

const (
	// The picture waits while the queue in front of the viewer's bottleneck is longer than this, until it is shorter...
	pauseQueue  = 200 * time.Millisecond
	resumeQueue = 60 * time.Millisecond
	// ...or while it is paced. What has waited for longer is given up, up to the next key frame.
	mostWait = 500 * time.Millisecond
	// How fast packets may follow each other, as a multiple of what the path carries: encoders send key frames at this
	// pace too. It is less where the path carries little, or has a queue.
	usualPace, carefulPace = 2.5, 1.1
	thinPath               = 500_000 // bits a second
	leastBurst             = 3_000   // bytes that may go out at once...
	burstShare             = 20      // ...or this part of a second's
)

// selector chooses what a viewer gets of a video track that has layers. It belongs to the viewer's worker.
type selector struct {
	estimate *bwe.Estimator
	codec    siaran.CodecName
	whole    bool   // the viewer takes no descriptors, so spatial layers of AV1 stay one
	sound    *track // that goes first; nil: there is none
	ladder   ladder
	climber  climber
	aim      rung      // what is wanted
	since    time.Time // when that was decided
	given    rung      // of the track's layer, which is another one until there is a key frame of the one wanted
	probe    int       // bits a second that probes should show; 0: none are wanted
	paused   bool
	late     time.Time // when a packet was last given up

	// What is sent of the track's layer.
	spatial, temporal uint8
	picture           int64 // timestamp of the newest picture that was looked at
	lowest            uint8 // spatial layer of that picture
	most              rung  // what was given when it began: all of its frames are treated alike
	key               int64 // of the newest key frame
	waiting           bool  // for a key frame
	lost              bool  // a packet before the next one has not come from the broadcaster
	ids               pictureIDs
}

func newSelector(t, sound *track, e *bwe.Estimator) *selector {
	all := rung{layer: t.layer, spatial: siaran.MaxSpatial - 1, temporal: siaran.MaxTemporal - 1}
	return &selector{estimate: e, codec: t.layer.Codec().Name, whole: t.DescriptorID == 0, sound: sound,
		aim: all, given: all}
}

// place is that of a packet, as far as it matters to the viewer.
func (s *selector) place(p *siaran.Packet) siaran.Place {
	if s.whole && p.Apart != nil {
		return siaran.Place{LayerEnd: p.FrameEnd}
	}
	return p.Place
}

// gets returns the highest layers that the viewer gets from a packet on. With a key frame all may begin.
func (s *selector) gets(p *siaran.Packet) (spatial, temporal uint8) {
	spatial, temporal = s.spatial, s.temporal
	if p.Timestamp == s.key {
		spatial = s.most.spatial
	}
	if temporal == siaran.MaxTemporal-1 {
		temporal = 0xff // higher ones count as this one
	}
	return spatial, temporal
}

// restart is for a track that begins again, at a key frame.
func (s *selector) restart() {
	s.waiting, s.lost = true, false
	s.picture = -1 << 62
	s.spatial, s.temporal = 0, 0
	s.ids.switched()
}

// passes reports whether a packet is sent. It may be asked more than once about the newest packet.
func (s *selector) passes(p *siaran.Packet) bool {
	if p.Timestamp != s.picture {
		s.begins(p)
	}
	if s.waiting || s.given.extent == noFrames || s.given.extent == keyFrames && p.Timestamp != s.key {
		return false
	}
	at := s.place(p)
	if at.SwitchUp && at.Spatial == s.lowest && at.Temporal == s.temporal+1 && at.Temporal <= s.most.temporal {
		s.temporal = at.Temporal
	}
	if s.rises(at) {
		s.spatial = at.Spatial
	}
	if at.Temporal > s.temporal {
		s.ids.skip(s.codec)
		return false
	}
	return at.Spatial <= s.spatial
}

// rises reports whether the next spatial layer is taken from a packet on.
func (s *selector) rises(p siaran.Place) bool {
	return p.LayerStart && p.Spatial == s.spatial+1 && p.Spatial <= s.most.spatial
}

// begins is for the first packet of a picture. It is here that less is sent than before.
func (s *selector) begins(p *siaran.Packet) {
	s.picture, s.lowest, s.most = p.Timestamp, s.place(p).Spatial, s.given
	if p.Keyframe {
		if s.waiting || s.given.extent != wholeFrames {
			s.ids.switched()
		}
		s.key, s.waiting, s.temporal = p.Timestamp, false, s.given.temporal
	}
	s.temporal, s.spatial = min(s.temporal, s.given.temporal), min(s.spatial, s.given.spatial)
	if s.given.extent != wholeFrames && !p.Keyframe {
		s.waiting = true
	}
}

// waits is for a packet that has to wait for its turn. After a while it is given up, with what follows until the next
// key frame.
func (s *selector) waits(p *siaran.Packet, now time.Time) {
	if now.Sub(p.Arrival) > mostWait && s.given.extent == wholeFrames {
		s.waiting, s.late = true, now
	}
}

// cannotTell reports whether it depends on a packet that has not arrived yet if p is the last of its picture.
func (s *selector) cannotTell(p *siaran.Packet, l *siaran.Layer) bool {
	return p.LayerEnd && !p.FrameEnd && s.place(p).Spatial == s.spatial && p.Seq+1 >= l.Head()
}

// ends reports whether p, which is sent, is the last packet of its picture that is. next is the packet that follows it,
// or nil.
func (s *selector) ends(p, next *siaran.Packet) bool {
	if p.Marker || next == nil || next.Timestamp != p.Timestamp {
		return p.Marker
	}
	at, after := s.place(p), s.place(next)
	return at.LayerEnd && at.Spatial == s.spatial && after.Spatial > s.spatial && !s.rises(after)
}

// pace is how fast packets may follow each other, in bytes a second.
func (s *selector) pace(now time.Time) int {
	factor := usualPace
	if s.given.extent == keyFrames || s.estimate.Target() < thinPath || s.estimate.Queue(now) > resumeQueue {
		factor = carefulPace
	}
	return max(int(float64(s.estimate.Target())*factor)-s.soundRate(), leastVideo) / 8
}

// pauses reports whether the picture has to wait until what has been sent has left the path.
func (s *selector) pauses(now time.Time) bool {
	limit := pauseQueue
	if s.paused {
		limit = resumeQueue
	}
	s.paused = s.estimate.Queue(now) > limit
	return s.paused || s.estimate.Brake(now)
}

// soundRate is what the sound needs, in bits a second, with headers: a packet every 20 ms.
func (s *selector) soundRate() int {
	const headers = 50 * (headerSize + 8 + packetOverhead) * 8
	if s.sound == nil || s.sound.shared == nil {
		return 0
	}
	return s.sound.shared.rate*8 + headers
}
