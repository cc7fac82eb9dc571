package sdp

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestVerifyCertificate(t *testing.T) {
	certificate := []byte("a certificate")
	colons := func(sum []byte) string { return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":") }
	s256, s1 := sha256.Sum256(certificate), sha1.Sum(certificate)
	right, short := Fingerprint{"sha-256", colons(s256[:])}, Fingerprint{"sha-256", colons(s256[:31])}
	other := Fingerprint{"sha-256", strings.Replace(right.Value, right.Value[:2], "00", 1)}
	for name, c := range map[string]struct {
		chain     [][]byte
		described []Fingerprint
		ok        bool
	}{
		"right":      {[][]byte{certificate}, []Fingerprint{right}, true},
		"lower case": {[][]byte{certificate}, []Fingerprint{{"sha-256", strings.ToLower(right.Value)}}, true},
		"sha-1":      {[][]byte{certificate}, []Fingerprint{{"sha-1", colons(s1[:])}}, true},
		"one of several": {[][]byte{certificate}, []Fingerprint{{"md5", "00"}, {"sha-256", "nonsense"}, other, right},
			true},
		"another":           {[][]byte{certificate}, []Fingerprint{other}, false},
		"cut off":           {[][]byte{certificate}, []Fingerprint{short}, false},
		"of another hash":   {[][]byte{certificate}, []Fingerprint{{"sha-384", right.Value}}, false},
		"unknown hash":      {[][]byte{certificate}, []Fingerprint{{"md5", right.Value}}, false},
		"nothing described": {[][]byte{certificate}, nil, false},
		"empty value":       {[][]byte{certificate}, []Fingerprint{{"sha-256", ""}}, false},
		"no certificate":    {nil, []Fingerprint{right}, false},
		"second of a chain": {[][]byte{[]byte("first"), certificate}, []Fingerprint{right}, false},
	} {
		if err := VerifyCertificate(c.chain, c.described); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
