package testutil

import (
	"net"
	"testing"

	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// RoomyNet is the network for pion clients of tests. Their sockets hold what comes while a busy machine has no time for
// them: a kernel keeps some 90 datagrams by default, and loses the others.
func RoomyNet(t testing.TB) transport.Net {
	t.Helper()
	plain, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	return roomyNet{plain}
}

type roomyNet struct{ transport.Net }

func (n roomyNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err == nil {
		_ = conn.SetReadBuffer(4 << 20) // as much as the system allows
	}
	return conn, err
}
