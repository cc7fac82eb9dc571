package mediaport

// System describes what the operating system gives a socket.
type System struct {
	GSO                       bool // runs of datagrams are sent in one go (UDP_SEGMENT)
	ReceiveBuffer, SendBuffer int  // bytes; 0 if unknown
	WantedBuffer              int  // bytes that were asked for, each way
}

// System reports what the operating system has given the socket, for those who look for what could be better.
func (s *Socket) System() System {
	y := System{GSO: s.ports[0].segments() > 1, WantedBuffer: socketBuffer}
	if p, ok := s.ports[0].(interface{ buffers() (receive, send int) }); ok {
		y.ReceiveBuffer, y.SendBuffer = p.buffers()
	}
	return y
}
