package siaran

// Unwrapper16 extends 16-bit counters (RTP sequence numbers) to 64 bits. The zero value returns the first number
// unchanged. Each step may go up or down by less than half the range.
type Unwrapper16 struct {
	last    int64
	started bool
}

// Unwrap extends n to the value nearest to the previous one.
func (u *Unwrapper16) Unwrap(n uint16) int64 {
	if !u.started {
		u.started, u.last = true, int64(n)
		return u.last
	}
	u.last += int64(int16(n - uint16(u.last)))
	return u.last
}

// Unwrapper32 is Unwrapper16 for 32-bit counters (RTP timestamps).
type Unwrapper32 struct {
	last    int64
	started bool
}

// Unwrap extends n to the value nearest to the previous one.
func (u *Unwrapper32) Unwrap(n uint32) int64 {
	if !u.started {
		u.started, u.last = true, int64(n)
		return u.last
	}
	u.last += int64(int32(n - uint32(u.last)))
	return u.last
}
