package siaran

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
)

// StreamName is the public name of a stream, as in its URL. It is never a secret.
type StreamName string

var streamName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ParseStreamName returns s as a StreamName, or ErrStreamName.
func ParseStreamName(s string) (StreamName, error) {
	if !streamName.MatchString(s) {
		return "", ErrStreamName
	}
	return StreamName(s), nil
}

// SessionID identifies a session in its URL. Knowing it is enough to change and end the session, so it is a secret of
// 256 random bits (RFC 9725 sections 4.2 and 5), and [SessionID.String] hides it.
type SessionID string

// NewSessionID returns a new random session id.
func NewSessionID() SessionID { return SessionID(randomText(32)) }

// String returns the first characters of the id: enough to recognise it in a log, too few to use it.
func (id SessionID) String() string { return string(id[:min(6, len(id))]) + "…" }

// ViewerID identifies a viewer in the listing. Unlike a SessionID it gives no rights.
type ViewerID string

// NewViewerID returns a new random viewer id.
func NewViewerID() ViewerID { return ViewerID(randomText(12)) }

// BroadcastID identifies one broadcast of a stream.
type BroadcastID string

// randomText returns n bytes of the system's random source in base64url.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}
