//go:build !linux

package turn

import "net"

// setNotSentLowat makes the kernel's send buffer smaller, where there is no limit on what is not sent.
func setNotSentLowat(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4 * unsent)
	}
}
