package siaran

// Answer is what a client gets when its session is created.
type Answer struct {
	Session SessionID
	SDP     []byte // with CRLF line ends and all candidates
	Tag     string // identifies the ICE session (RFC 9725 section 4.3.1); can be put in quotes as an entity tag
}

// Restarted is what a client gets when its session gets new ICE credentials (RFC 9725 section 4.3.3).
type Restarted struct {
	Fragment []byte // of SDP, with CRLF line ends and all candidates (RFC 8840 section 9)
	Tag      string // as that of Answer
}

// BannedBy is what a viewer who is banned is known by.
type BannedBy string

// A token counts if nobody else uses it, else the address: an IPv4 address, or a /64 of IPv6.
const (
	BannedByToken   BannedBy = "token"
	BannedByAddress BannedBy = "address"
)

// SessionInfo is what the HTTP side needs to know about a running session of a broadcaster or a viewer.
type SessionInfo struct {
	Stream         StreamName
	Owner          string // the credential's owner; empty for a viewer without a token
	Tag            string // of the newest ICE session
	RemoteUfrag    string // the client's, for the same
	RemotePassword string
	Viewer         ViewerID // of a viewer, in the listing
	VideoMedia     string   // of a viewer: the index of the m-line that the video is sent in; empty: there is none
	Described      bool     // of a viewer: it takes dependency descriptors
}
