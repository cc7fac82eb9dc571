package sdp

import (
	"slices"
	"strconv"
	"strings"

	"siaran"
)

// staticCodecs are the payload types that need no a=rtpmap (RFC 3551 section 6).
var staticCodecs = map[uint8]string{0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}

// With the marker bit, packets of these payload types look like RTCP, which has the same port (RFC 5761 section 4). A
// picture has one in each frame; sound, hardly any.
const firstOfRTCP, lastOfRTCP = 64, 95

// readCodecs reads the payload types of the m= line and their attributes.
func (s *Section) readCodecs(formats []string, own attributes) error {
	if s.Kind == siaran.KindOther {
		return nil
	}
	maps, err := perPayloadType(own, "rtpmap")
	if err != nil {
		return err
	}
	parameters, err := perPayloadType(own, "fmtp")
	if err != nil {
		return err
	}
	seen := make(map[uint8]bool)
	repairs := make(map[uint8]uint8)
	asRTCP := uint8(0)
	for _, format := range formats {
		pt, err := payloadType(format)
		if err != nil {
			return err
		}
		if seen[pt] {
			return malformed("payload type %d is offered twice", pt)
		}
		seen[pt] = true
		text, there := maps[pt]
		if !there {
			text = staticCodecs[pt]
		}
		if text == "" && !there {
			continue
		}
		codec, err := parseCodec(text)
		if err != nil {
			return err
		}
		codec.FMTP = parameters[pt]
		if s.Kind == siaran.KindVideo && pt >= firstOfRTCP && pt <= lastOfRTCP {
			asRTCP = pt
			continue
		}
		if codec.Name == "RTX" {
			if apt, err := payloadType(Parameter(codec.FMTP, "apt")); err == nil && repairs[apt] == 0 {
				repairs[apt] = pt
			}
		} else if codec.Name.Kind() == s.Kind && isUsual(codec) {
			s.Codecs = append(s.Codecs, OfferedCodec{PayloadType: pt, Codec: codec})
			if len(s.Codecs) > maxCodecs {
				return malformed("more than %d codecs", maxCodecs)
			}
		}
	}
	if len(s.Codecs) == 0 && asRTCP != 0 && !s.Rejected {
		return unacceptable("payload type %d cannot be told from RTCP on the same port; use 96 to 127", asRTCP)
	}
	for i := range s.Codecs {
		s.Codecs[i].RTX = repairs[s.Codecs[i].PayloadType]
	}
	return s.readFeedback(own)
}

// readFeedback reads a=rtcp-fb (RFC 4585 section 4.2), where * stands for all payload types.
func (s *Section) readFeedback(own attributes) error {
	var all []string
	each := make(map[uint8][]string)
	for value := range own.all("rtcp-fb") {
		target, feedback, _ := strings.Cut(value, " ")
		feedback = oneSpaced(feedback)
		if target == "*" {
			if all = addFeedback(all, feedback); len(all) > maxFeedback {
				return malformed("more than %d kinds of feedback for all payload types", maxFeedback)
			}
			continue
		}
		pt, err := payloadType(target)
		if err != nil {
			return err
		}
		if each[pt] = addFeedback(each[pt], feedback); len(each[pt]) > maxFeedback {
			return malformed("more than %d kinds of feedback for payload type %d", maxFeedback, pt)
		}
	}
	for i := range s.Codecs {
		c := &s.Codecs[i]
		own := each[c.PayloadType]
		if len(own) == 0 {
			c.Feedback = slices.Clip(all) // one list for all codecs, because copies of a long one would add up
			continue
		}
		c.Feedback = append(make([]string, 0, len(own)+len(all)), all...)
		for _, feedback := range own {
			c.Feedback = addFeedback(c.Feedback, feedback)
		}
	}
	return nil
}

// oneSpaced returns s with single spaces between words and none around them.
func oneSpaced(s string) string {
	s = strings.TrimSpace(s)
	if strings.Contains(s, "  ") || strings.Contains(s, "\t") {
		return strings.Join(strings.Fields(s), " ")
	}
	return s
}

func addFeedback(list []string, feedback string) []string {
	if feedback == "" || slices.Contains(list, feedback) {
		return list
	}
	return append(list, feedback)
}

// perPayloadType returns the first value for each payload type, of lines that begin with one.
func perPayloadType(own attributes, key string) (map[uint8]string, error) {
	values := make(map[uint8]string)
	for value := range own.all(key) {
		number, rest, _ := strings.Cut(value, " ")
		pt, err := payloadType(number)
		if err != nil {
			return nil, err
		}
		if _, there := values[pt]; !there {
			values[pt] = strings.TrimSpace(rest)
		}
	}
	return values, nil
}

func payloadType(s string) (uint8, error) {
	n, err := strconv.ParseUint(s, 10, 7)
	if err != nil {
		return 0, malformed("bad payload type %.40q", s)
	}
	return uint8(n), nil
}

// parseCodec reads "name/clock rate/channels" of a=rtpmap.
func parseCodec(text string) (siaran.Codec, error) {
	fields := strings.Split(text, "/")
	rate := uint64(0)
	if len(fields) == 2 || len(fields) == 3 {
		rate, _ = strconv.ParseUint(fields[1], 10, 32)
	}
	if rate == 0 || !isToken(fields[0]) {
		return siaran.Codec{}, malformed("bad a=rtpmap %.40q", text)
	}
	c := siaran.Codec{Name: siaran.ParseCodecName(fields[0]), ClockRate: uint32(rate)}
	if c.Name.Kind() != siaran.KindAudio {
		return c, nil
	}
	c.Channels = 1
	if c.Name == siaran.Opus {
		c.Channels = 2 // always (RFC 7587 section 7); some clients leave it out
	}
	if len(fields) == 3 {
		n, err := strconv.ParseUint(fields[2], 10, 16)
		if err != nil {
			return siaran.Codec{}, malformed("bad a=rtpmap %.40q", text)
		}
		c.Channels = uint16(n)
	}
	return c, nil
}

// isUsual reports whether the clock rate and channels are what every decoder expects.
func isUsual(c siaran.Codec) bool {
	switch c.Name {
	case siaran.Opus:
		return c.ClockRate == 48000 && c.Channels == 2
	case siaran.MultiOpus:
		return c.ClockRate == 48000 && c.Channels > 2 && c.Channels <= 8 && Parameter(c.FMTP, "channel_mapping") != ""
	case siaran.PCMU, siaran.PCMA, siaran.G722:
		return c.ClockRate == 8000 && c.Channels == 1
	}
	return c.ClockRate == 90000
}
