//go:build !linux

package egress

import (
	"net"
	"net/netip"
)

type (
	rawAddress   struct{}
	batchBuffers struct{}
)

func newPath(address netip.AddrPort, _ netip.Addr, _ port) *path { return &path{address: address} }

func openPorts(addr *net.UDPAddr, _ SocketOptions) ([]port, error) { return listenStd(addr) }
