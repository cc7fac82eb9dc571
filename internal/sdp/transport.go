package sdp

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// takeTransport finds the ICE and DTLS parameters of the bundle. When its sections differ, as those of aiortc do, the
// first one counts (RFC 9143 section 7.3.3).
func (o *Offer) takeTransport(session sessionLevel) error {
	for _, mid := range o.Bundle {
		media := attributes(o.Description.MediaDescriptions[o.section(mid).Index].Attributes)
		if o.Ufrag == "" {
			ufrag, password, err := credentials(media, session.ufrag, session.password)
			if err != nil {
				return err
			}
			o.Ufrag, o.Password = ufrag, password
			if ufrag != "" {
				o.Candidates = candidates(media, maxCandidates)
			}
		}
		if len(o.Fingerprints) == 0 {
			prints, err := fingerprints(media)
			if err == nil && len(prints) == 0 {
				prints, err = session.fingerprints, session.badFingerprints
			}
			if err != nil {
				return err
			}
			o.Fingerprints = prints
		}
		if o.Setup == "" {
			o.Setup = nearest("setup", media, session.setup).value
		}
		o.Trickle = o.Trickle || session.trickle || trickles(media)
	}
	if o.Ufrag == "" {
		return malformed("it has no a=ice-ufrag and a=ice-pwd")
	}
	if len(o.Fingerprints) == 0 {
		return malformed("it has no a=fingerprint with SHA-1 or SHA-2; media without DTLS is not accepted")
	}
	switch o.Setup {
	case "actpass", "active", "passive":
		return nil
	case "":
		return malformed("it has no a=setup")
	}
	return unacceptable("a=setup:%.40s", o.Setup)
}

// credentials returns the nearest ICE credentials (RFC 8839 section 5.4), both empty when there are none.
func credentials(own attributes, sessionUfrag, sessionPassword text) (ufrag, password string, err error) {
	u, p := nearest("ice-ufrag", own, sessionUfrag), nearest("ice-pwd", own, sessionPassword)
	if !u.there && !p.there {
		return "", "", nil
	}
	if !u.there || !p.there {
		return "", "", malformed("a=ice-ufrag and a=ice-pwd belong together")
	}
	if !isCredential(u.value, 4) || !isCredential(p.value, 22) {
		return "", "", malformed("bad a=ice-ufrag or a=ice-pwd")
	}
	return u.value, p.value, nil
}

// isCredential is more lenient than RFC 8839 about characters, and as strict about the length.
func isCredential(s string, least int) bool {
	return len(s) >= least && len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || r == ':'
	})
}

// hashSizes are the supported hash functions of RFC 8122, and their size in bytes.
var hashSizes = map[string]int{"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}

// fingerprints returns the fingerprints at one level that have a supported hash function.
func fingerprints(level attributes) ([]Fingerprint, error) {
	var list []Fingerprint
	for value := range level.all("fingerprint") {
		algorithm, print, _ := strings.Cut(value, " ")
		f := Fingerprint{Algorithm: strings.ToLower(algorithm), Value: strings.ToUpper(strings.TrimSpace(print))}
		size := hashSizes[f.Algorithm]
		if size == 0 {
			continue
		}
		if !isFingerprint(f.Value, size) {
			return nil, malformed("bad a=fingerprint %.40q", value)
		}
		if len(list) < maxFingerprints {
			list = append(list, f)
		}
	}
	return list, nil
}

func isFingerprint(s string, size int) bool {
	if len(s) != size*3-1 {
		return false
	}
	for i := 2; i < len(s); i += 3 {
		if s[i] != ':' {
			return false
		}
	}
	_, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	return err == nil
}

func trickles(level attributes) bool {
	for value := range level.all("ice-options") {
		for option := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ' ' || r == ',' }) {
			if option == "trickle" {
				return true
			}
		}
	}
	return false
}

// candidates returns the distinct valid values of a=candidate for component 1, at most limit.
func candidates(level attributes, limit int) []string {
	var list []string
	seen := make(map[string]bool)
	for value := range level.all("candidate") {
		if len(list) == limit {
			break
		}
		if !seen[value] && isCandidate(value) {
			seen[value] = true
			list = append(list, value)
		}
	}
	return list
}

// isCandidate reports whether s is a candidate of component 1 (RFC 8839 section 5.1), with an address or a name.
func isCandidate(s string) bool {
	fields := strings.Fields(s)
	if len(s) > maxCandidateText || len(fields) < 8 || !isToken(strings.ReplaceAll(fields[0], "/", "+")) {
		return false
	}
	_, priority := strconv.ParseUint(fields[3], 10, 32)
	_, port := strconv.ParseUint(fields[5], 10, 16)
	_, address := netip.ParseAddr(fields[4])
	name := isToken(fields[4]) && strings.Contains(fields[4], ".")
	return fields[1] == "1" && priority == nil && port == nil && (address == nil || name) && fields[6] == "typ"
}
