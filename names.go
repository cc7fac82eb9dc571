package siaran

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
)

// StreamName is the public name of a stream, as it stands in its URL. It is never a secret.
type StreamName string

var streamName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ParseStreamName returns s as a StreamName, or ErrStreamName.
func ParseStreamName(s string) (StreamName, error) {
	if !streamName.MatchString(s) {
		return "", ErrStreamName
	}
	return StreamName(s), nil
}

// SessionID names one session in its URL and is the capability to change and end it: 256
// random bits (RFC 9725 section 4.2 and 5). It is a secret: [SessionID.String] hides it.
type SessionID string

// NewSessionID draws a fresh session id.
func NewSessionID() SessionID { return SessionID(randomText(32)) }

// String is the first characters of the id, enough to recognise it in a log and too few to use it.
func (id SessionID) String() string { return string(id[:min(6, len(id))]) + "…" }

// ViewerID names a viewer in the listing. Unlike a SessionID it gives no rights.
type ViewerID string

// NewViewerID draws a fresh viewer id.
func NewViewerID() ViewerID { return ViewerID(randomText(12)) }

// BroadcastID names one time of being live.
type BroadcastID string

// randomText is n bytes from the system's CSPRNG in base64url.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}
