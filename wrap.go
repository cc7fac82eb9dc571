package siaran

// Unwrapper16 extends 16-bit counters (RTP sequence numbers) to 64 bits. The zero value
// takes the first number as it is. Steps of less than half the range may go either way.
type Unwrapper16 struct {
	last    int64
	started bool
}

// Unwrap returns n in the range nearest to the number before.
func (u *Unwrapper16) Unwrap(n uint16) int64 {
	if !u.started {
		u.started, u.last = true, int64(n)
		return u.last
	}
	u.last += int64(int16(n - uint16(u.last)))
	return u.last
}

// Unwrapper32 does for 32-bit counters (RTP timestamps) what Unwrapper16 does for 16-bit ones.
type Unwrapper32 struct {
	last    int64
	started bool
}

// Unwrap returns n in the range nearest to the number before.
func (u *Unwrapper32) Unwrap(n uint32) int64 {
	if !u.started {
		u.started, u.last = true, int64(n)
		return u.last
	}
	u.last += int64(int32(n - uint32(u.last)))
	return u.last
}
