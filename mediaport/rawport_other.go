//go:build !linux

package mediaport

import (
	"net"
	"net/netip"
)

type (
	rawAddress   struct{}
	batchBuffers struct{}
)

func newPath(address netip.AddrPort, _ netip.Addr, _ rawPort) *Path { return &Path{address: address} }

func openRaw(addr *net.UDPAddr, _ Options) ([]rawPort, error) { return openStd(addr) }
