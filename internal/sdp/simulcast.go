package sdp

import (
	"slices"
	"strings"

	"siaran"
)

// readSimulcast reads a=rid (RFC 8851) and a=simulcast (RFC 8853). It is strict, because pion/webrtc v3 panics on a
// list with an empty element.
func (s *Section) readSimulcast(own attributes) error {
	directions := make(map[string]string)
	newest := ""
	for value := range own.all("rid") {
		fields := strings.Fields(value)
		if len(fields) < 2 || !IsRID(fields[0]) || fields[1] != "send" && fields[1] != "recv" {
			return malformed("bad a=rid %.40q", value)
		}
		if _, twice := directions[fields[0]]; twice {
			return malformed("two a=rid lines for %q", fields[0])
		}
		newest, directions[fields[0]] = fields[0], fields[1]
		if len(directions) > maxRIDs {
			return malformed("more than %d a=rid lines", maxRIDs)
		}
	}
	read := false
	for value := range own.all("simulcast") {
		if read {
			return malformed("two a=simulcast lines")
		}
		read = true
		fields := strings.Fields(value)
		if len(fields) != 2 && len(fields) != 4 || len(fields) == 4 && fields[0] == fields[2] {
			return malformed("bad a=simulcast %.40q", value)
		}
		for ; len(fields) > 0; fields = fields[2:] {
			layers, err := parseSimulcast(fields[0], fields[1], directions)
			if err != nil {
				return err
			}
			if fields[0] == "send" {
				s.RIDs = layers
			}
		}
	}
	if !read && len(directions) == 1 {
		s.Layer = newest
	}
	if len(s.RIDs) > maxSimulcast {
		return unacceptable("more than %d simulcast layers", maxSimulcast)
	}
	if len(s.RIDs) > 1 && s.Kind == siaran.KindAudio {
		return unacceptable("simulcast of audio")
	}
	return nil
}

// parseSimulcast reads a list such as "h;~m;l". Of alternatives such as "h,h2" it returns the first.
func parseSimulcast(direction, list string, declared map[string]string) ([]RID, error) {
	if direction != "send" && direction != "recv" {
		return nil, malformed("bad direction %.40q in a=simulcast", direction)
	}
	var layers []RID
	var seen []string
	for stream := range strings.SplitSeq(list, ";") {
		for i, id := range strings.Split(stream, ",") {
			id, paused := strings.CutPrefix(id, "~")
			if !IsRID(id) || slices.Contains(seen, id) {
				return nil, malformed("bad list %.40q in a=simulcast", list)
			}
			if declared[id] != direction {
				return nil, malformed("no a=rid:%s %s for a=simulcast", id, direction)
			}
			seen = append(seen, id)
			if i == 0 {
				layers = append(layers, RID{ID: id, Paused: paused})
			}
		}
	}
	return layers, nil
}

// IsRID reports whether s is a rid-id (RFC 8851 section 10) of reasonable length.
func IsRID(s string) bool {
	return s != "" && len(s) <= maxNameLength && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
