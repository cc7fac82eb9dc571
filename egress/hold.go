package egress

import "time"

// uriHold names the playout delay extension. The first packet of a frame gives the minimum and the maximum time for
// which frames are kept before they are shown, in units of 10 ms. It applies until another packet says otherwise.
// https://webrtc.googlesource.com/src/+/refs/heads/main/docs/native-code/rtp-hdrext/playout-delay/README.md
const uriHold = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

const (
	holdUnit   = 10 * time.Millisecond
	holdMost   = 10 * time.Second // that a browser may add by itself; it is its default too
	holdSize   = 3                // bytes
	leastHold  = 100 * time.Millisecond
	mostHold   = 400 * time.Millisecond
	holdMargin = 60 * time.Millisecond // beyond the round trip: one frame until the loss shows, and jitter

	lossyShare  = 4  // of 256: a window with more than 1.5 % lost is bad
	lossyWeight = 10 // good windows that make up for a bad one
	lossyMost   = 3 * lossyWeight
)

// hold asks browsers whose path loses packets to keep frames for as long as a repair takes. By themselves browsers keep
// them only for as long as jitter requires; a frame that is being repaired is then late, and dropped if a key frame
// follows.
type hold struct {
	score int           // of bad windows
	delay time.Duration // asked for
	told  bool          // something has been asked for once, so each frame says it from then on
}

// window takes the share of packets that were lost in a window, in 256ths.
func (h *hold) window(share int, roundTrip time.Duration) {
	if share < lossyShare {
		if h.score = max(h.score-1, 0); h.score == 0 {
			h.delay = 0
		}
		return
	}
	if h.score = min(h.score+lossyWeight, lossyMost); h.score > lossyWeight {
		h.delay, h.told = max(h.delay, min(max(roundTrip+holdMargin, leastHold), mostHold)), true
	}
}

// write puts the extension among those of a packet.
func (h *hold) write(e *extensions, id uint8) {
	b := e.add(id, holdSize)
	b[0], b[1], b[2] = byte(h.delay/holdUnit>>4), byte(h.delay/holdUnit<<4)|byte(holdMost/holdUnit>>8),
		byte(holdMost/holdUnit&0xff)
}
