package egress

import "golang.org/x/sys/unix"

// buffers reads the sizes. Linux reports twice of what it was asked for, as it counts its own books in.
func (p *linuxPort) buffers() (receive, send int) {
	receive, _ = unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	send, _ = unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	return receive / 2, send / 2
}
