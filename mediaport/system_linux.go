package mediaport

import "golang.org/x/sys/unix"

// buffers reads the sizes. Linux reports twice what it was asked for, because it counts its own bookkeeping.
func (p *linuxPort) buffers() (receive, send int) {
	receive, _ = unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	send, _ = unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	return receive / 2, send / 2
}
