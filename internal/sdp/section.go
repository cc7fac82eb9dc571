package sdp

import (
	"cmp"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"siaran"
)

// attributes are the a= lines of a section or of the session level.
type attributes []sdp.Attribute

// all yields the values of the lines with this key, in order.
func (a attributes) all(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, attribute := range a {
			if attribute.Key == key && !yield(strings.TrimSpace(attribute.Value)) {
				return
			}
		}
	}
}

// first returns the value of the first line with this key.
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

// sessionLevel holds the attributes at session level that apply to every section. They are read only once.
type sessionLevel struct {
	direction       Direction // empty when there is none
	extensions      []Extension
	mixed           bool
	group           string // mids of the first BUNDLE group
	grouped         bool
	ufrag, password text
	setup           text
	fingerprints    []Fingerprint
	badFingerprints error // matters only for a section without fingerprints of its own
	trickle         bool
}

// text is the value of an attribute that may be missing.
type text struct {
	value string
	there bool
}

// nearest returns the section's value, or the session's when the section has none.
func nearest(key string, own attributes, session text) text {
	if value, there := own.first(key); there {
		return text{value, true}
	}
	return session
}

func readSession(own attributes) (s sessionLevel, err error) {
	s.direction = direction(own)
	s.ufrag, s.password = nearest("ice-ufrag", own, text{}), nearest("ice-pwd", own, text{})
	s.setup = nearest("setup", own, text{})
	s.trickle = trickles(own)
	for value := range own.all("group") {
		if kind, mids, _ := strings.Cut(value, " "); kind == "BUNDLE" {
			s.group, s.grouped = mids, true
			break
		}
	}
	s.fingerprints, s.badFingerprints = fingerprints(own)
	s.mixed = own.has("extmap-allow-mixed")
	s.extensions, err = extensions(own)
	return s, err
}

// parseSection reads one m= section. Sections that are never negotiated are validated too, because later parsers of the
// same offer are less strict.
func parseSection(index int, media *sdp.MediaDescription, session sessionLevel) (s Section, err error) {
	own := attributes(media.Attributes)
	s = Section{
		Index: index, Direction: cmp.Or(direction(own), session.direction, SendRecv), Extensions: session.extensions,
	}
	if len(own) > maxAttributes {
		return s, malformed("more than %d attributes", maxAttributes)
	}
	if slices.Contains(media.MediaName.Protos, "RTP") {
		switch strings.ToLower(media.MediaName.Media) {
		case "audio":
			s.Kind = siaran.KindAudio
		case "video":
			s.Kind = siaran.KindVideo
		}
	}
	if mid, there := own.first("mid"); there {
		if !isToken(mid) {
			return s, malformed("bad mid %.40q", mid)
		}
		s.Mid, s.Named = mid, true
	}
	s.bundleOnly = own.has("bundle-only")
	s.Rejected = media.MediaName.Port.Value == 0 && !s.bundleOnly
	s.RTCPMux = own.has("rtcp-mux")
	s.RTCPReduced = own.has("rtcp-rsize")
	s.Mixed = session.mixed || own.has("extmap-allow-mixed")
	if own.has("extmap") {
		if s.Extensions, err = extensions(own); err != nil {
			return s, err
		}
	}
	if err := s.readSSRCs(own); err != nil {
		return s, err
	}
	if err := s.readSimulcast(own); err != nil {
		return s, err
	}
	return s, s.readCodecs(media.MediaName.Formats, own)
}

// direction returns the first direction, empty when there is none.
func direction(level attributes) Direction {
	for _, a := range level {
		switch d := Direction(a.Key); d {
		case SendRecv, SendOnly, RecvOnly, Inactive:
			return d
		}
	}
	return ""
}

// readSSRCs reads a=msid (RFC 8830) and a=ssrc (RFC 5576).
func (s *Section) readSSRCs(own attributes) error {
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
			return malformed("more than %d SSRCs", maxSSRCs)
		}
	}
	if s.Stream == "-" { // a track without a MediaStream
		s.Stream = ""
	}
	return nil
}

// extensions reads a=extmap (RFC 8285). Lines at session level apply to sections that have none.
func extensions(own attributes) ([]Extension, error) {
	lines := 0
	for range own.all("extmap") {
		lines++
	}
	if lines > maxExtensions { // each takes time to read
		return nil, malformed("more than %d header extensions", maxExtensions)
	}
	var list []Extension
	for value := range own.all("extmap") {
		fields := strings.Fields(value)
		if len(fields) < 2 {
			return nil, malformed("bad a=extmap %.40q", value)
		}
		number, direction, directed := strings.Cut(fields[0], "/")
		id, err := strconv.ParseUint(number, 10, 16)
		if err != nil || id == 0 {
			return nil, malformed("bad a=extmap %.40q", value)
		}
		if _, err := url.Parse(fields[1]); err != nil {
			return nil, malformed("bad a=extmap %.40q", value)
		}
		e := Extension{ID: int(id), URI: fields[1], Direction: Direction(direction)}
		switch e.Direction {
		case SendRecv, SendOnly, RecvOnly, Inactive:
		default:
			if directed {
				return nil, malformed("bad a=extmap %.40q", value)
			}
		}
		if id > 246 || slices.ContainsFunc(list, func(o Extension) bool { return o.ID == e.ID }) {
			continue // it cannot be sent, or cannot be told from another one
		}
		list = append(list, e)
	}
	return list, nil
}

// isToken reports whether s is a token (RFC 8866 section 9) of reasonable length.
func isToken(s string) bool {
	return s != "" && len(s) <= maxNameLength && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]`, r)
	})
}
