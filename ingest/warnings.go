package ingest

import (
	"fmt"
	"math"
	"slices"
	"time"

	"siaran"
)

// Thresholds of warnings.
const (
	maxKeyframeInterval = 4 // seconds
	maxLossPercent      = 1
	maxBackwardFrames   = 3  // a few may have other causes
	maxLargePackets     = 10 // likewise
	// Seconds without a packet of a negotiated kind. A screen without changes is sent less than once a second.
	maxIdle = 6

	maxRepairedPercent = 3
	maxJumps           = 2               // likewise
	maxQueue           = 300e-3          // seconds
	maxDrift           = 1000            // millionths; ten times what a bad clock has
	maxApart           = 0.1             // seconds between sound and picture (ITU-R BT.1359: from 0.09 on it is noticed)
	minDriftTime       = 2 * time.Minute // before which drift is not spoken of

	rateWarningTime = 10 * time.Second // a warning stays for this long after the last dropped packet

	rtpHeader = 12 // bytes, as viewers get it
	// The minimum MTU of IPv6 without the IPv6 and UDP headers and the SRTP tag (AES-GCM), in bytes. Larger packets do
	// not reach viewers behind tunnels (RFC 8085 section 3.2).
	maxPacket = 1280 - 40 - 8 - 16
)

func (h *Health) warn() {
	h.Warnings = []Warning{}
	if h.Connected && h.Silent {
		h.add("silent", "Nothing has come from you for two seconds. Check your network, and that the encoder is "+
			"running.")
	}
	if h.Transport == "tcp" {
		h.add("tcp", "Your network lets no UDP through, so your media comes over TCP: a lost packet holds up all "+
			"that follow. Use another network if the picture stutters.")
	}
	if h.tooFast > 0 {
		h.add("bitrate", "You send more than the %d kbit/s that this server takes, and the rest is dropped. "+
			"Lower the bitrate of the encoder.", h.tooFast/1000)
	}
	if h.tooMany > 0 {
		h.add("packets", "You send more than the %d packets a second that this server takes, and the rest is dropped. "+
			"Make the packets of the encoder larger, up to 1200 bytes, or lower its bitrate.", h.tooMany)
	}
	h.warnOfAbsence()
	h.warnOfDrift()
	for _, l := range h.Layers {
		h.warnOf(l)
	}
}

func (h *Health) add(code, format string, args ...any) {
	for _, w := range h.Warnings {
		if w.Code == code {
			return
		}
	}
	h.Warnings = append(h.Warnings, Warning{code, fmt.Sprintf(format, args...)})
}

// warnOfAbsence warns when one negotiated kind of media does not come while the other does.
func (h *Health) warnOfAbsence() {
	if h.Silent {
		return
	}
	idle := make(map[string]float64)
	for _, l := range h.Layers {
		if before, ok := idle[l.Kind]; !ok || l.Idle < before {
			idle[l.Kind] = l.Idle
		}
	}
	if idle[siaran.KindVideo.String()] > maxIdle {
		h.add("no-video", "No video comes from you, so viewers see no picture. Check the camera or screen, and "+
			"the video encoder's settings.")
	}
	if idle[siaran.KindAudio.String()] > maxIdle {
		h.add("no-audio", "No audio comes from you, so viewers hear nothing. Check the microphone, and the audio "+
			"settings of the encoder; or broadcast without audio.")
	}
}

// warnOfDrift warns when sound and picture move apart, or the timestamps do not keep to real time.
func (h *Health) warnOfDrift() {
	behind := make(map[string]time.Duration)
	for _, l := range h.Layers {
		if l.within < minDriftTime {
			continue
		}
		behind[l.Kind] = l.behind
		if l.Drift > maxDrift || l.Drift < -maxDrift {
			way := "slow"
			if l.Drift < 0 {
				way = "fast"
			}
			h.add("clock", "The timestamps of your %s run %.1f %% too %s, so viewers fall behind, or the picture "+
				"stutters. Make the encoder's frame rate and sample rate the source's own.",
				l.Kind, math.Abs(l.Drift)/1e4, way)
		}
	}
	audio, there := behind[siaran.KindAudio.String()]
	video, both := behind[siaran.KindVideo.String()]
	if apart := (audio - video).Seconds(); there && both && math.Abs(apart) > maxApart {
		h.add("apart", "Sound and picture drift apart: %.1f s since they began. Take both from one device, or let the "+
			"encoder keep the sound in step (in OBS, use device timestamps), and begin again.", math.Abs(apart))
	}
}

// viewable lists the profiles of a codec that browsers decode.
var viewable = map[string][]string{
	string(siaran.H264): {
		"Constrained Baseline", "Baseline", "Main", "Extended", "Constrained High", "High",
	},
	string(siaran.H265): {"Main", "Main 10"},
	string(siaran.VP9):  {"Profile 0", "Profile 2"},
	string(siaran.AV1):  {"Main"},
}

func (h *Health) warnOfBitstream(l LayerHealth) {
	if l.Profile != "" && !slices.Contains(viewable[l.Codec], l.Profile) {
		h.add("profile", "The video is %s of the profile %s, which many browsers cannot show. Set the encoder to the "+
			"colour format 4:2:0 with 8 bits (in OBS: NV12), and the profile to %s.", l.Codec, l.Profile,
			viewable[l.Codec][0])
	}
	if l.TimestampJumps > maxJumps {
		h.add("timestamps", "The timestamps of your %s have jumped %d times, and each time viewers see the picture "+
			"stand or skip. Do not switch between sources with clocks of their own while you are live, or use another "+
			"version of the encoder.", l.Kind, l.TimestampJumps)
	}
}

// warnOfNetwork warns of what happens between the broadcaster and here.
func (h *Health) warnOfNetwork(l LayerHealth) {
	if l.Queue > maxQueue {
		h.add("upload", "Your packets wait for %.1f s before they get through: the upload is too slow for this "+
			"bitrate. Lower the bitrate of the encoder until this warning goes, or free the line of other uploads.",
			l.Queue)
	}
	switch {
	case l.LossPercent > maxLossPercent:
		h.add("loss", "%.1f %% of your packets are lost on the way. Lower the bitrate, or use a cable instead of "+
			"Wi-Fi.", l.LossPercent)
	case l.RepairedPercent > maxRepairedPercent:
		h.add("repairs", "%.0f %% of your packets are lost on the way and have to be sent again. Viewers do not notice "+
			"so far. Lower the bitrate, or use a cable instead of Wi-Fi, before they do.", l.RepairedPercent)
	}
}

func (h *Health) warnOf(l LayerHealth) {
	h.warnOfNetwork(l)
	h.warnOfBitstream(l)
	// An encoder that sends key frames on request, as browsers do, need not send more. Requests during silence do not
	// count.
	answers := l.KeyframesAnswered > 0 && 2*l.KeyframesAnswered >= l.tried
	if l.KeyframeInterval > maxKeyframeInterval && !answers && l.Idle < maxIdle {
		h.add("keyframes", "Key frames are %.0f seconds apart. Set the key frame interval to 2 seconds: viewers "+
			"see a picture sooner and recover faster.", l.KeyframeInterval)
	}
	if l.BackwardFrames > maxBackwardFrames || l.BFrames > maxBackwardFrames {
		h.add("b-frames", "The video has B-frames, which browsers show as a picture that stands or shakes. Set "+
			"B-frames to 0 in the encoder. OBS does so by itself, unless its services' recommended settings are "+
			"ignored or bframes= is among the encoder's options.")
	}
	if l.WrongMarkers {
		h.add("marker", "The encoder marks the ends of frames wrongly (the RTP marker is set inside frames, or "+
			"never). The server puts that right, which delays the picture by a frame. Use a newer version of the "+
			"encoder, or another one.")
	}
	if l.LargePackets > maxLargePackets {
		h.add("large-packets", "Packets of up to %d bytes come from you. Those of more than %d do not reach "+
			"viewers behind some VPNs and tunnels. Set the packet size (MTU) of the encoder to 1200 bytes.",
			l.LargestPacket, maxPacket)
	}
	late := h.Connected && time.Since(h.Since) > maxKeyframeInterval*time.Second
	if late && l.Kind == siaran.KindVideo.String() && l.Packets > 0 && l.KeyframeInterval == 0 {
		h.add("no-keyframe", "No key frame has come yet, so there is nothing to show. Set the key frame interval "+
			"to 2 seconds.")
	}
}
