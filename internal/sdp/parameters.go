package sdp

import (
	"strings"

	"siaran"
)

// Parameter returns the value of one format parameter in a list such as "a=1;b=2", empty when it is missing. The case
// of names does not matter.
func Parameter(fmtp, key string) string {
	for pair := range strings.SplitSeq(fmtp, ";") {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), key) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// EncodingName is a codec's name as most clients write it: Opus in lower case, as in RFC 7587, the others in upper
// case. Some clients compare it without folding case.
func EncodingName(n siaran.CodecName) string {
	if n == siaran.Opus || n == siaran.MultiOpus {
		return strings.ToLower(string(n))
	}
	return string(n)
}
