package ingest

import (
	"math"
	"time"
)

// Health describes how a broadcast arrives, for its broadcaster.
type Health struct {
	Since     time.Time     `json:"since"`     // when the session was opened
	Connected bool          `json:"connected"` // ICE and DTLS are up
	Silent    bool          `json:"silent"`    // no media for two seconds
	Transport string        `json:"transport"` // of the newest media: udp, tcp, or relayed (TURN)
	RoundTrip float64       `json:"roundTrip"` // to the broadcaster, in seconds; 0 until it is known
	Dropped   uint64        `json:"dropped"`   // packets over what the server accepts; in no other counter
	Layers    []LayerHealth `json:"layers"`
	Warnings  []Warning     `json:"warnings"`

	tooFast int // the accepted bitrate in bits per second, when more has come lately; else 0
	tooMany int // the accepted packets per second, likewise
}

// LayerHealth describes how one layer of a track arrives. The counters cover the session.
type LayerHealth struct {
	Kind  string `json:"kind"` // audio or video
	RID   string `json:"rid,omitempty"`
	Codec string `json:"codec"`

	Width  int `json:"width,omitempty"` // pixels; 0 until the first key frame
	Height int `json:"height,omitempty"`

	// What the bitstream says; see siaran.Format.
	Profile            string  `json:"profile,omitempty"`
	Level              string  `json:"level,omitempty"`
	AnnouncedFrameRate float64 `json:"announcedFrameRate,omitempty"` // frames per second

	Bitrate   int     `json:"bitrate"`             // bits per second of payload, over the last seconds
	FrameRate float64 `json:"frameRate,omitempty"` // per second, likewise

	Packets           uint64 `json:"packets"`           // received
	Lost              uint64 `json:"lost"`              // never received
	Asked             uint64 `json:"asked"`             // requests for retransmission
	Recovered         uint64 `json:"recovered"`         // received after a request
	Duplicates        uint64 `json:"duplicates"`        // received again, or too late
	KeyframeRequests  uint64 `json:"keyframeRequests"`  // sent to the broadcaster
	KeyframesAnswered uint64 `json:"keyframesAnswered"` // that a key frame followed within a second
	BackwardFrames    uint64 `json:"backwardFrames"`    // with a timestamp below the previous frame's: B-frames
	BFrames           uint64 `json:"bFrames"`           // by their slices, whatever the timestamps; H264 and H265 only
	LargePackets      uint64 `json:"largePackets"`      // larger than maxPacket bytes
	LargestPacket     int    `json:"largestPacket"`     // bytes, with the RTP header that viewers get
	WrongMarkers      bool   `json:"wrongMarkers"`      // RTP markers are not at the ends of frames; corrected here
	TimestampJumps    uint64 `json:"timestampJumps"`    // by more than a second

	// In seconds: the longest of the last few, or the current one if it is longer. Times of silence do not count.
	KeyframeInterval float64 `json:"keyframeInterval,omitempty"`
	LossPercent      float64 `json:"lossPercent"`     // never received, over the last seconds
	RepairedPercent  float64 `json:"repairedPercent"` // lost and sent again, over the last seconds
	// In seconds: how much longer packets are under way than at the best time of the last minute. They wait in a queue,
	// mostly before an upload that is too slow.
	Queue float64 `json:"queue"`
	// In millionths: how much slower the timestamps run than this server's clock; below zero when they run faster. 0
	// during the first minute.
	Drift float64 `json:"drift"`
	// In seconds since the newest media of the layer; if there was none, since the first media of another.
	Idle float64 `json:"idle"`

	tried  uint64        // requests for key frames that something followed within a second
	behind time.Duration // by which the timestamps have fallen behind this server's clock
	within time.Duration // the time that took
}

// Warning says what is wrong and what to do about it.
type Warning struct {
	Code string `json:"code"` // never changes, for translation
	Text string `json:"text"`
}

// counts are the counters behind LayerHealth. The receiver's lock guards them.
type counts struct {
	Packets, Bytes, Asked, Recovered, Duplicates, BackwardFrames, LargePackets uint64
	KeyframeRequests, KeyframesAnswered                                        uint64

	tried     uint64    // see LayerHealth
	again     uint64    // bytes of duplicates
	last      time.Time // arrival of the newest media
	largest   int       // packet in bytes, as viewers get it
	fullIntra uint8     // sequence number of the last full intra request
	frames    uint64
	stamped   bool
	stamp     int64 // of the newest frame, in order
	timing    timing

	lastKeyframe time.Time
	intervals    [4]time.Duration // between key frames, without times of silence
	keyframes    int
	lastFrame    time.Time
	silent       time.Duration // since the last key frame

	window sample        // at the beginning of the current window
	rate   sample        // growth during the last complete window
	over   time.Duration // length of that window
}

// sample holds counters at one time.
type sample struct {
	at                                      time.Time
	packets, bytes, frames, lost, recovered uint64
}

const sampleTime = 2 * time.Second

// add counts a packet as it arrives.
func (c *counts) add(p packet, v verdict) {
	c.Packets++
	c.Bytes += uint64(len(p.payload))
	if len(p.payload) > 0 {
		c.last = p.arrival
	}
	size := rtpHeader + len(p.payload)
	if c.largest = max(c.largest, size); size > maxPacket {
		c.LargePackets++
	}
	if v == duplicate {
		c.Duplicates++
		c.again += uint64(len(p.payload))
	}
}

// order counts frames; it gets the packets in order. rate is the clock rate of the timestamps.
func (c *counts) order(p packet, rate uint32) {
	if len(p.payload) == 0 || c.stamped && p.timestamp == c.stamp {
		return
	}
	switch back := c.stamp - p.timestamp; {
	case !c.stamped || back < 0:
	case duration(back, rate) > timestampJump:
		c.timing.jump()
	default:
		c.BackwardFrames++
	}
	if quiet := p.arrival.Sub(c.lastFrame); c.stamped && quiet > silence {
		c.silent += quiet
	}
	c.stamped, c.stamp, c.lastFrame = true, p.timestamp, p.arrival
	c.frames++
	c.timing.take(duration(p.timestamp, rate), p.arrival)
}

func (c *counts) keyframe(at time.Time) {
	if !c.lastKeyframe.IsZero() {
		c.intervals[c.keyframes%len(c.intervals)] = c.sinceKeyframe(at)
		c.keyframes++
	}
	c.lastKeyframe, c.silent = at, 0
}

// sinceKeyframe is the time since the last key frame, without the times in which nothing came: in those there was
// nothing to encode, or no room for the layer.
func (c *counts) sinceKeyframe(now time.Time) time.Duration {
	if now.Sub(c.lastFrame) > silence {
		now = c.lastFrame
	}
	return max(now.Sub(c.lastKeyframe)-c.silent, time.Millisecond)
}

// measure ends a window of counters when sampleTime has passed.
func (c *counts) measure(now time.Time, lost uint64) {
	// Without duplicates: browsers send thousands of them to find out what the path carries.
	present := sample{now, c.Packets - c.Duplicates, c.Bytes - c.again, c.frames, lost, c.Recovered}
	before := c.window
	if before.at.IsZero() {
		c.window = present
		return
	}
	if now.Sub(before.at) < sampleTime {
		return
	}
	c.over = now.Sub(before.at)
	c.rate = sample{
		now, present.packets - before.packets, present.bytes - before.bytes,
		present.frames - before.frames, present.lost - before.lost, present.recovered - before.recovered,
	}
	c.window = present
	c.timing.look()
}

// health returns a snapshot of the layer.
func (l *layer) health(now time.Time) LayerHealth {
	c := &l.counts
	h := LayerHealth{
		Kind: l.choice.section.Kind.String(), RID: l.rid, Codec: string(l.choice.codec.Name),
		Packets: c.Packets, Lost: l.order.lost, Asked: c.Asked, Recovered: c.Recovered, Duplicates: c.Duplicates,
		KeyframeRequests: c.KeyframeRequests, KeyframesAnswered: c.KeyframesAnswered,
		LargePackets: c.LargePackets, LargestPacket: c.largest,
		TimestampJumps: c.timing.jumps, Queue: c.timing.queue.Seconds(), tried: c.tried,
	}
	if h.behind, h.within = c.timing.drift(); h.within > 0 {
		h.Drift = math.Round(1e6 * h.behind.Seconds() / h.within.Seconds())
	}
	if c.over > 0 {
		h.Bitrate = int(float64(c.rate.bytes*8) / c.over.Seconds())
		if all := c.rate.packets + c.rate.lost; all > 0 {
			h.LossPercent = 100 * float64(c.rate.lost) / float64(all)
			h.RepairedPercent = 100 * float64(c.rate.recovered) / float64(all)
		}
	}
	if !l.video() {
		return h
	}
	h.BackwardFrames, h.BFrames = c.BackwardFrames, l.writer.Layer().Stats().Backward-l.backward
	h.WrongMarkers = l.fixer.wrong
	h.Width, h.Height = l.writer.Layer().Size()
	format := l.writer.Layer().Format()
	h.Profile, h.Level, h.AnnouncedFrameRate = format.Profile, format.Level, format.FrameRate
	if c.over > 0 {
		h.FrameRate = float64(c.rate.frames) / c.over.Seconds()
	}
	if !c.lastKeyframe.IsZero() {
		longest := time.Duration(0)
		for _, d := range c.intervals {
			longest = max(longest, d)
		}
		if open := c.sinceKeyframe(now); longest == 0 || open > longest {
			longest = open
		}
		h.KeyframeInterval = longest.Seconds()
	}
	return h
}

// addRate adds to a snapshot what exceeds the accepted bitrate.
func (r *receiver) addRate(h Health, now time.Time) Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.Dropped = r.dropped
	if r.rttKnown {
		h.RoundTrip = r.rtt.Seconds()
	}
	if !r.rate.over.IsZero() && now.Sub(r.rate.over) < rateWarningTime {
		h.tooFast = 8 * r.rate.limit
	}
	if !r.packets.over.IsZero() && now.Sub(r.packets.over) < rateWarningTime {
		h.tooMany = r.packets.limit
	}
	return h
}

// health returns a snapshot of all layers.
func (r *receiver) health(now time.Time) []LayerHealth {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]LayerHealth, 0, len(r.demux.layers))
	for _, l := range r.demux.layers {
		h := l.health(now)
		if first := r.first; !first.IsZero() {
			if l.counts.last.After(first) {
				first = l.counts.last
			}
			h.Idle = now.Sub(first).Seconds()
		}
		list = append(list, h)
	}
	return list
}

// measure is called regularly. It updates the rates, and releases packets that wait for one which does not come.
func (r *receiver) measure(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.demux.layers {
		l.fixer.flushStale(now, l.fixed)
		l.counts.measure(now, l.order.lost)
	}
}
