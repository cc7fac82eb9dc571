package signalling

import (
	"mime"
	"strings"
)

// maxICEServers is how many servers of one response are read.
const maxICEServers = 64

// ICEServer is a STUN or TURN server that a WHIP or WHEP endpoint names (RFC 9725 section 4.6).
type ICEServer struct {
	URL                  string // as the server wrote it, unchecked
	Username, Credential string // empty for STUN
}

// ICEServers reads Link fields (RFC 8288 section 3). It skips what it cannot read, and links of other relations.
func ICEServers(fields []string) []ICEServer {
	var list []ICEServer
	for _, field := range fields {
		for _, link := range splitLinks(field) {
			target, rest, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
			_, params, err := mime.ParseMediaType("text/link" + rest) // parameters have the same syntax
			if !ok || err != nil || params["rel"] != "ice-server" || len(list) == maxICEServers {
				continue
			}
			list = append(list, ICEServer{target, params["username"], params["credential"]})
		}
	}
	return list
}

// splitLinks cuts a field into links, at commas outside of <> and of quotes.
func splitLinks(field string) []string {
	var list []string
	start, quoted, inside := 0, false, false
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !inside:
			quoted = !quoted
		case c == '<' && !quoted:
			inside = true
		case c == '>' && !quoted:
			inside = false
		case c == ',' && !quoted && !inside:
			list = append(list, strings.TrimSpace(field[start:i]))
			start = i + 1
		}
	}
	return append(list, strings.TrimSpace(field[start:]))
}
