//go:build !linux

package turn

import "net"

// shortQueue makes the system's queue of what is written shorter, where that can be done.
func shortQueue(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4 * unsent)
	}
}
