package egress

import (
	"encoding/hex"
	"slices"
	"strings"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
)

// choose returns the offered payload type to send a track with: one of the track's codec, whose parameters fit best.
// Nil means that the viewer cannot play the track.
func choose(offered []sdp.OfferedCodec, sent siaran.Codec) *sdp.OfferedCodec {
	var best *sdp.OfferedCodec
	bestScore := -1
	for i := range offered {
		c := &offered[i]
		if c.Name != sent.Name || c.ClockRate != sent.ClockRate || c.Channels != sent.Channels {
			continue
		}
		if score := fit(c.FMTP, sent.FMTP, sent.Name); score > bestScore {
			best, bestScore = c, score
		}
	}
	return best
}

// fit says how well a viewer's parameters suit what is sent; below 0: not at all.
func fit(viewer, sent string, name siaran.CodecName) int {
	switch name {
	case siaran.H264:
		return fitH264(viewer, sent)
	case siaran.VP9, siaran.H265:
		return sameProfile(sdp.Parameter(viewer, "profile-id"), sdp.Parameter(sent, "profile-id"), name)
	case siaran.AV1:
		return sameProfile(sdp.Parameter(viewer, "profile"), sdp.Parameter(sent, "profile"), name)
	case siaran.MultiOpus:
		for _, key := range []string{"channel_mapping", "num_streams", "coupled_streams"} {
			if sdp.Parameter(viewer, key) != sdp.Parameter(sent, key) {
				return -1 // its decoder is set up for other streams
			}
		}
	}
	return 1
}

// fitH264 wants a packetization mode that fits. The profile is only a preference, because decoders take what they can,
// whatever was negotiated. The level does not matter: browsers offer one below what they decode, and it may differ in
// each direction (level-asymmetry-allowed, RFC 6184 section 8.1).
func fitH264(viewer, sent string) int {
	score := 1
	switch sdp.Parameter(viewer, "packetization-mode") {
	case "1":
		score += 10
	case "0":
		return -1 // it allows no fragments (RFC 6184 section 6.2); an offer that names no mode is given a chance
	}
	takes, want := h264Profile(viewer), h264Profile(sent)
	switch {
	case takes == "" || want == "":
	case takes == want:
		score += 3
	case slices.Contains(h264Above[want], takes):
		score += 2
	}
	return score
}

// h264Above lists the profiles whose decoders also decode a profile, among those that browsers offer (H.264 annex A.2).
var h264Above = map[string][]string{
	"Constrained Baseline": {"Baseline", "Main", "Constrained High", "High", "High 4:4:4 Predictive"},
	"Main":                 {"High", "High 4:4:4 Predictive"},
	"Constrained High":     {"High", "High 4:4:4 Predictive"},
	"High":                 {"High 4:4:4 Predictive"},
}

// h264Profile is the profile in format parameters, empty when there is none.
func h264Profile(fmtp string) string {
	id, err := hex.DecodeString(sdp.Parameter(fmtp, "profile-level-id"))
	if err != nil || len(id) != 3 {
		return ""
	}
	return codec.H264Profile(id[0], id[1])
}

// sameProfile compares profiles; the default is 0, for H265 1 (RFC 7798 section 7.1).
func sameProfile(viewer, sent string, name siaran.CodecName) int {
	def := "0"
	if name == siaran.H265 {
		def = "1"
	}
	if viewer == "" {
		viewer = def
	}
	if sent == "" {
		sent = def
	}
	if viewer == sent {
		return 2
	}
	return -1
}

// sentCodec is the codec of a track as it is really sent, which the largest layer knows after its first key frame. An
// encoder's description often differs: OBS always announces constrained baseline.
func sentCodec(track *siaran.Track) siaran.Codec {
	sent, most := track.Codec, 0
	for _, l := range track.Layers {
		width, height := l.Size()
		if format := l.Format(); format.FMTP != "" && width*height >= most {
			sent.FMTP, most = format.FMTP, width*height
		}
	}
	return sent
}

// answerFMTP is the offer's own parameters, and stereo for Opus when the broadcaster sends it: browsers play mono
// unless the description says so (RFC 7587 section 7.1).
func answerFMTP(codec *sdp.OfferedCodec, sent siaran.Codec) string {
	fmtp := codec.FMTP
	stereo := sdp.Parameter(sent.FMTP, "stereo") == "1" || sdp.Parameter(sent.FMTP, "sprop-stereo") == "1"
	if codec.Name != siaran.Opus || !stereo {
		return fmtp
	}
	for _, key := range []string{"stereo", "sprop-stereo"} {
		if sdp.Parameter(fmtp, key) == "" {
			fmtp = strings.TrimPrefix(fmtp+";"+key+"=1", ";")
		}
	}
	return fmtp
}
