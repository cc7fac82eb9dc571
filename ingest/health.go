package ingest

import (
	"fmt"
	"time"
)

// Health is how a broadcast arrives, for the one who makes it.
type Health struct {
	Since     time.Time     `json:"since"`     // when the session was opened
	Connected bool          `json:"connected"` // ICE and DTLS are up
	Silent    bool          `json:"silent"`    // nothing has come for two seconds
	Transport string        `json:"transport"` // of the newest media: udp or tcp
	Layers    []LayerHealth `json:"layers"`
	Warnings  []Warning     `json:"warnings"`
}

// LayerHealth is how one layer of a track arrives. The counters are of the session.
type LayerHealth struct {
	Kind  string `json:"kind"` // audio or video
	RID   string `json:"rid,omitempty"`
	Codec string `json:"codec"`

	Width  int `json:"width,omitempty"` // pixels; 0 until the first key frame
	Height int `json:"height,omitempty"`

	Bitrate   int     `json:"bitrate"`             // bits a second of payload, over the last seconds
	FrameRate float64 `json:"frameRate,omitempty"` // a second, likewise

	Packets           uint64 `json:"packets"`           // that came
	Lost              uint64 `json:"lost"`              // that never came
	Asked             uint64 `json:"asked"`             // requests to resend a packet
	Recovered         uint64 `json:"recovered"`         // that came after they had been asked for
	Duplicates        uint64 `json:"duplicates"`        // that came again, or too late
	KeyframeRequests  uint64 `json:"keyframeRequests"`  // made to the broadcaster
	KeyframesAnswered uint64 `json:"keyframesAnswered"` // of these, by a key frame within a second
	BackwardFrames    uint64 `json:"backwardFrames"`    // whose timestamp lies before the frame's before: B-frames

	KeyframeInterval float64 `json:"keyframeInterval,omitempty"` // seconds: the longest of the last ones, or the present one if longer
	LossPercent      float64 `json:"lossPercent"`                // of the last seconds
}

// Warning says what is wrong, and what to do about it.
type Warning struct {
	Code string `json:"code"` // never changes, for translation
	Text string `json:"text"`
}

// counts are the counters behind LayerHealth, guarded by the receiver's lock.
type counts struct {
	Packets, Bytes, Asked, Recovered, Duplicates, BackwardFrames uint64
	KeyframeRequests, KeyframesAnswered                          uint64

	fullIntra uint8 // number of the last full intra request
	frames    uint64
	stamped   bool
	stamp     int64 // of the newest frame, in order

	lastKeyframe time.Time
	intervals    [4]time.Duration // between key frames
	keyframes    int

	window sample // where the present one began
	rate   sample // what the last full one has brought
	over   time.Duration
}

// sample is the state of counters at a time.
type sample struct {
	at                           time.Time
	packets, bytes, frames, lost uint64
}

const sampleTime = 2 * time.Second

func (c *counts) take(p packet, v verdict) {
	c.Packets++
	c.Bytes += uint64(len(p.payload))
	if v == duplicate {
		c.Duplicates++
	}
}

// order sees the packets in order.
func (c *counts) order(p packet) {
	if len(p.payload) == 0 || c.stamped && p.timestamp == c.stamp {
		return
	}
	if c.stamped && p.timestamp < c.stamp {
		c.BackwardFrames++
	}
	c.stamped, c.stamp = true, p.timestamp
	c.frames++
}

func (c *counts) keyframe(at time.Time) {
	if !c.lastKeyframe.IsZero() {
		c.intervals[c.keyframes%len(c.intervals)] = at.Sub(c.lastKeyframe)
		c.keyframes++
	}
	c.lastKeyframe = at
}

// measure closes a window of counters when it is full.
func (c *counts) measure(now time.Time, lost uint64) {
	present := sample{now, c.Packets, c.Bytes, c.frames, lost}
	before := c.window
	if before.at.IsZero() {
		c.window = present
		return
	}
	if now.Sub(before.at) < sampleTime {
		return
	}
	c.over = now.Sub(before.at)
	c.rate = sample{now, present.packets - before.packets, present.bytes - before.bytes, present.frames - before.frames, present.lost - before.lost}
	c.window = present
}

// health is a snapshot of the layer.
func (l *layer) health(now time.Time) LayerHealth {
	c := &l.counts
	h := LayerHealth{
		Kind: l.choice.section.Kind.String(), RID: l.rid, Codec: string(l.choice.codec.Name),
		Packets: c.Packets, Lost: l.order.lost, Asked: c.Asked, Recovered: c.Recovered, Duplicates: c.Duplicates,
		KeyframeRequests: c.KeyframeRequests, KeyframesAnswered: c.KeyframesAnswered,
	}
	if c.over > 0 {
		h.Bitrate = int(float64(c.rate.bytes*8) / c.over.Seconds())
		if all := c.rate.packets + c.rate.lost; all > 0 {
			h.LossPercent = 100 * float64(c.rate.lost) / float64(all)
		}
	}
	if !l.video() {
		return h
	}
	h.BackwardFrames = c.BackwardFrames
	h.Width, h.Height = l.writer.Layer().Size()
	if c.over > 0 {
		h.FrameRate = float64(c.rate.frames) / c.over.Seconds()
	}
	if !c.lastKeyframe.IsZero() {
		longest := time.Duration(0)
		for _, d := range c.intervals {
			longest = max(longest, d)
		}
		if open := now.Sub(c.lastKeyframe); longest == 0 || open > longest {
			longest = open
		}
		h.KeyframeInterval = longest.Seconds()
	}
	return h
}

// What is worth a warning.
const (
	maxKeyframeInterval = 4 // seconds
	maxLossPercent      = 1
	maxBackwardFrames   = 3 // a few are told of before it is called B-frames
)

func (h *Health) warn() {
	h.Warnings = []Warning{}
	add := func(code, format string, args ...any) {
		for _, w := range h.Warnings {
			if w.Code == code {
				return
			}
		}
		h.Warnings = append(h.Warnings, Warning{code, fmt.Sprintf(format, args...)})
	}
	if h.Connected && h.Silent {
		add("silent", "Nothing has come from you for two seconds. Check your network, and that the encoder is running.")
	}
	if h.Transport == "tcp" {
		add("tcp", "Your network lets no UDP through, so your media comes over TCP: a lost packet holds up all that follow. Use another network if the picture stutters.")
	}
	for _, l := range h.Layers {
		// One that sends a key frame whenever it is asked, as browsers do, need not send more.
		answers := l.KeyframesAnswered > 0 && 2*l.KeyframesAnswered >= l.KeyframeRequests
		if l.KeyframeInterval > maxKeyframeInterval && !answers {
			add("keyframes", "Key frames are %.0f seconds apart. Set the key frame interval to 2 seconds: viewers see a picture sooner and recover faster.", l.KeyframeInterval)
		}
		if l.BackwardFrames > maxBackwardFrames {
			add("b-frames", "The video has B-frames, which browsers show as a shaking picture. Set B-frames to 0 in the encoder.")
		}
		if l.LossPercent > maxLossPercent {
			add("loss", "%.1f %% of your packets are lost on the way. Lower the bitrate, or use a cable instead of Wi-Fi.", l.LossPercent)
		}
		if l.Kind == "video" && l.Packets > 0 && l.KeyframeInterval == 0 && h.Connected && time.Since(h.Since) > maxKeyframeInterval*time.Second {
			add("no-keyframe", "No key frame has come yet, so there is nothing to show. Set the key frame interval to 2 seconds.")
		}
	}
}

// health is a snapshot of all layers.
func (r *receiver) health(now time.Time) []LayerHealth {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]LayerHealth, 0, len(r.demux.layers))
	for _, l := range r.demux.layers {
		list = append(list, l.health(now))
	}
	return list
}

// measure is called now and then, for the rates.
func (r *receiver) measure(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.demux.layers {
		l.counts.measure(now, l.order.lost)
	}
}
