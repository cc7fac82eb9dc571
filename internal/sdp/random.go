package sdp

import (
	"crypto/rand"
	"encoding/base64"
)

// RandomText returns n random characters that are allowed in ICE user names and passwords (RFC 8839 section 5.4),
// with 6 bits of entropy each.
func RandomText(n int) string {
	b := make([]byte, (n*6+7)/8)
	rand.Read(b) // never fails since Go 1.24
	return base64.RawStdEncoding.EncodeToString(b)[:n]
}
