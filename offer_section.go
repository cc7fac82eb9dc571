package siaran

import (
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// attributes are the a= lines of a section or of the session level.
type attributes []sdp.Attribute

// all are the values of the lines with this key, in order.
func (a attributes) all(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, attribute := range a {
			if attribute.Key == key && !yield(strings.TrimSpace(attribute.Value)) {
				return
			}
		}
	}
}

// first is the value of the first line with this key.
func (a attributes) first(key string) (value string, there bool) {
	for value := range a.all(key) {
		return value, true
	}
	return "", false
}

func (a attributes) has(key string) bool {
	_, there := a.first(key)
	return there
}

// parseSection reads one m-section. Also of sections that are never negotiated the syntax is checked,
// because other parsers of the same offer are not as careful.
func parseSection(index int, media *sdp.MediaDescription, session attributes) (Section, error) {
	own := attributes(media.Attributes)
	s := Section{Index: index, Direction: direction(own, session)}
	if len(own) > maxAttributes {
		return s, malformed("more than %d attributes", maxAttributes)
	}
	if slices.Contains(media.MediaName.Protos, "RTP") {
		switch strings.ToLower(media.MediaName.Media) {
		case "audio":
			s.Kind = KindAudio
		case "video":
			s.Kind = KindVideo
		}
	}
	if mid, there := own.first("mid"); there {
		if !isToken(mid) {
			return s, malformed("bad mid %.40q", mid)
		}
		s.Mid = mid
	}
	s.bundleOnly = own.has("bundle-only")
	s.Rejected = media.MediaName.Port.Value == 0 && !s.bundleOnly
	s.RTCPMux = own.has("rtcp-mux")
	s.RTCPReduced = own.has("rtcp-rsize")
	for _, read := range []func(attributes, attributes) error{s.readSources, s.readExtensions, s.readSimulcast} {
		if err := read(own, session); err != nil {
			return s, err
		}
	}
	return s, s.readCodecs(media.MediaName.Formats, own)
}

// direction is the section's own, or the session's, or the default.
func direction(levels ...attributes) Direction {
	for _, level := range levels {
		for _, a := range level {
			switch d := Direction(a.Key); d {
			case SendRecv, SendOnly, RecvOnly, Inactive:
				return d
			}
		}
	}
	return SendRecv
}

// readSources reads a=msid (RFC 8830) and a=ssrc (RFC 5576).
func (s *Section) readSources(own, _ attributes) error {
	if msid, there := own.first("msid"); there {
		s.Stream, _, _ = strings.Cut(msid, " ")
	}
	for value := range own.all("ssrc") {
		number, detail, _ := strings.Cut(value, " ")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return malformed("bad a=ssrc %.40q", value)
		}
		if msid, ok := strings.CutPrefix(detail, "msid:"); ok && s.Stream == "" {
			s.Stream, _, _ = strings.Cut(msid, " ")
		}
		if !slices.Contains(s.SSRCs, uint32(n)) {
			s.SSRCs = append(s.SSRCs, uint32(n))
		}
		if len(s.SSRCs) > maxSSRCs {
			return malformed("more than %d sources", maxSSRCs)
		}
	}
	if s.Stream == "-" { // a track without a MediaStream
		s.Stream = ""
	}
	return nil
}

// readExtensions reads a=extmap (RFC 8285). Lines at session level stand for a section that has none.
func (s *Section) readExtensions(own, session attributes) error {
	if !own.has("extmap") {
		own = session
	}
	for value := range own.all("extmap") {
		fields := strings.Fields(value)
		if len(fields) < 2 {
			return malformed("bad a=extmap %.40q", value)
		}
		number, direction, directed := strings.Cut(fields[0], "/")
		id, err := strconv.ParseUint(number, 10, 16)
		if err != nil || id == 0 {
			return malformed("bad a=extmap %.40q", value)
		}
		if _, err := url.Parse(fields[1]); err != nil {
			return malformed("bad a=extmap %.40q", value)
		}
		e := Extension{ID: int(id), URI: fields[1], Direction: Direction(direction)}
		switch e.Direction {
		case SendRecv, SendOnly, RecvOnly, Inactive:
		default:
			if directed {
				return malformed("bad a=extmap %.40q", value)
			}
		}
		if id > 246 || slices.ContainsFunc(s.Extensions, func(o Extension) bool { return o.ID == e.ID }) {
			continue // cannot be on the wire, or not be told from another
		}
		s.Extensions = append(s.Extensions, e)
		if len(s.Extensions) > maxExtensions {
			return malformed("more than %d header extensions", maxExtensions)
		}
	}
	return nil
}

// isToken tells whether s is a token of RFC 8866 section 9 and of a length that is not absurd.
func isToken(s string) bool {
	return s != "" && len(s) <= maxNameLength && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]`, r)
	})
}
