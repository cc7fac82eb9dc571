package ingest

import (
	"net/netip"
	"strings"

	"github.com/pion/ice/v2"
)

const maxCandidates = 64 // of a broadcaster, in offer and fragments together

// usableCandidates keeps the candidates that can be checked: UDP, component 1, a literal address.
// Names (mDNS) and everything that cannot be read are left out; the broadcaster's own checks
// reach us all the same. Generation and other extensions are cut off, because pion does not look at them.
func usableCandidates(values []string, room int) []string {
	var list []string
	for _, v := range values {
		if len(list) >= room {
			break
		}
		if c, ok := usableCandidate(v); ok {
			list = append(list, c)
		}
	}
	return list
}

func usableCandidate(value string) (clean string, ok bool) {
	defer func() {
		if recover() != nil { // bytes from outside in a parser that is not ours
			clean, ok = "", false
		}
	}()
	value = strings.TrimPrefix(strings.TrimSpace(value), "candidate:")
	c, err := ice.UnmarshalCandidate(value)
	if err != nil || c.Component() != ice.ComponentRTP || c.NetworkType().IsTCP() {
		return "", false
	}
	addr, err := netip.ParseAddr(c.Address())
	if err != nil || addr.IsUnspecified() || addr.IsMulticast() || c.Port() == 0 {
		return "", false
	}
	return c.Marshal(), true
}
