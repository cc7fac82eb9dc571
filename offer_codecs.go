package siaran

import (
	"slices"
	"strconv"
	"strings"
)

// staticCodecs are the payload types that need no rtpmap (RFC 3551 section 6).
var staticCodecs = map[uint8]string{0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}

// readCodecs reads the payload types of the m-line with all that is said about them.
func (s *Section) readCodecs(formats []string, own attributes) error {
	if s.Kind == KindOther {
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
		if codec.Name == "RTX" {
			if apt, err := payloadType(parameter(codec.FMTP, "apt")); err == nil && repairs[apt] == 0 {
				repairs[apt] = pt
			}
		} else if codec.Name.Kind() == s.Kind && codec.usual() {
			s.Codecs = append(s.Codecs, OfferedCodec{PayloadType: pt, Codec: codec})
		}
	}
	for i := range s.Codecs {
		s.Codecs[i].RTX = repairs[s.Codecs[i].PayloadType]
	}
	return s.readFeedback(own)
}

// readFeedback reads a=rtcp-fb (RFC 4585 section 4.2), where * stands for every payload type.
func (s *Section) readFeedback(own attributes) error {
	for value := range own.all("rtcp-fb") {
		target, feedback, _ := strings.Cut(value, " ")
		feedback = strings.Join(strings.Fields(feedback), " ")
		every := target == "*"
		pt := uint8(0)
		if !every {
			var err error
			if pt, err = payloadType(target); err != nil {
				return err
			}
		}
		for i := range s.Codecs {
			c := &s.Codecs[i]
			if !every && c.PayloadType != pt || feedback == "" || slices.Contains(c.Feedback, feedback) {
				continue
			}
			if len(c.Feedback) == maxFeedback {
				return malformed("more than %d kinds of feedback for payload type %d", maxFeedback, c.PayloadType)
			}
			c.Feedback = append(c.Feedback, feedback)
		}
	}
	return nil
}

// perPayloadType are the values of lines that begin with a payload type, the first one for each.
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
func parseCodec(text string) (Codec, error) {
	fields := strings.Split(text, "/")
	rate := uint64(0)
	if len(fields) == 2 || len(fields) == 3 {
		rate, _ = strconv.ParseUint(fields[1], 10, 32)
	}
	if rate == 0 || !isToken(fields[0]) {
		return Codec{}, malformed("bad a=rtpmap %.40q", text)
	}
	c := Codec{Name: ParseCodecName(fields[0]), ClockRate: uint32(rate)}
	if c.Name.Kind() != KindAudio {
		return c, nil
	}
	c.Channels = 1
	if c.Name == Opus {
		c.Channels = 2 // always (RFC 7587 section 7); some leave it out
	}
	if len(fields) == 3 {
		n, err := strconv.ParseUint(fields[2], 10, 16)
		if err != nil {
			return Codec{}, malformed("bad a=rtpmap %.40q", text)
		}
		c.Channels = uint16(n)
	}
	return c, nil
}

// usual tells whether rate and channels are those that every decoder expects.
func (a Codec) usual() bool {
	switch a.Name {
	case Opus:
		return a.ClockRate == 48000 && a.Channels == 2
	case PCMU, PCMA, G722:
		return a.ClockRate == 8000 && a.Channels == 1
	}
	return a.ClockRate == 90000
}

// parameter is one value of format parameters such as "a=1;b=2", empty when it is not there.
func parameter(fmtp, key string) string {
	for pair := range strings.SplitSeq(fmtp, ";") {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), key) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
