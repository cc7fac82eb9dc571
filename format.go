package siaran

// Format is what the bitstream of a video layer says about how it was encoded, which may differ from what was
// negotiated. Empty and zero values are not known.
type Format struct {
	Profile string // in the words of the codec's specification, such as "High" or "Main 10"
	Level   string // such as "4.1"
	// The same as format parameters of SDP, such as profile-level-id=640029, for the answers to viewers.
	FMTP      string
	FrameRate float64 // frames per second that the encoder announces; many announce none, or a wrong one
}
