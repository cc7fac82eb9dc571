package turn

import (
	"net"

	"golang.org/x/sys/unix"
)

// setNotSentLowat makes the kernel accept little that it cannot send yet (tcp(7), TCP_NOTSENT_LOWAT). What waits
// there can no longer be dropped, and delays all that follows.
func setNotSentLowat(conn net.Conn) {
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
		})
	}
}
