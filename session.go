package siaran

// Answer is what a session's creation gives back to its client.
type Answer struct {
	Session SessionID
	SDP     []byte // CRLF line ends, all candidates in it
	Tag     string // names the ICE session (RFC 9725 section 4.3.1); without quotes, safe in an entity tag
}

// SessionInfo is what the HTTP side needs to know of a running session, a broadcaster's or a viewer's.
type SessionInfo struct {
	Stream         StreamName
	Owner          string // the credential's owner; empty for a viewer without a token
	Tag            string
	RemoteUfrag    string // of the offer
	RemotePassword string
}
