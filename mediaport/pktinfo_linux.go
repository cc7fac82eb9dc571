package mediaport

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A machine may have several addresses. What is sent to a client leaves from the address that the client has asked: the
// client would not accept another one, and neither might a NAT in front of the machine.

const sourceControl = 40 // bytes of an aligned control message with an address (struct in6_pktinfo, the larger one)

// rawAddress is a socket address in the kernel's format, with a control message that says which of our addresses to
// send from (IP_PKTINFO, IPV6_PKTINFO).
type rawAddress struct {
	_            [0]uint64 // aligns source
	bytes        [unix.SizeofSockaddrInet6]byte
	length       uint32
	source       [sourceControl]byte
	sourceLength int // 0: the system chooses
}

// tellLocal makes the system tell which of our addresses a datagram was sent to.
func (p *linuxPort) tellLocal() error {
	if p.v6 { // works for IPv4 too
		return unix.SetsockoptInt(p.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(p.fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}

// sendFrom makes the control message. It makes none if local is not of the socket's family.
func (a *rawAddress) sendFrom(local netip.Addr, v6 bool) {
	c := (*unix.Cmsghdr)(unsafe.Pointer(&a.source[0]))
	data := a.source[unix.CmsgLen(0):]
	switch {
	case v6:
		ip := local.As16()
		copy(data, ip[:]) // struct in6_pktinfo: the address, then an interface, which is left open
		c.Level, c.Type, a.sourceLength = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo
	case local.Is4():
		ip := local.As4()
		copy(data[4:], ip[:]) // struct in_pktinfo: an interface, then the address
		c.Level, c.Type, a.sourceLength = unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo
	default:
		return
	}
	c.SetLen(unix.CmsgLen(a.sourceLength))
	a.sourceLength = unix.CmsgSpace(a.sourceLength)
}

// sentTo reads from its only control message which of our addresses a datagram was sent to.
func sentTo(control []byte) netip.Addr {
	if len(control) < unix.CmsgLen(unix.SizeofInet4Pktinfo) {
		return netip.Addr{}
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	data := control[unix.CmsgLen(0):]
	switch {
	case c.Level == unix.IPPROTO_IPV6 && c.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		return netip.AddrFrom16([16]byte(data[:16])).Unmap()
	case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_PKTINFO:
		return netip.AddrFrom4([4]byte(data[4:8]))
	}
	return netip.Addr{}
}

// sendOne sends a datagram from the path's local address, or from any address if that one is not ours any more.
func (p *linuxPort) sendOne(b []byte, to *Path) unix.Errno {
	vector := unix.Iovec{Base: &b[0]}
	vector.SetLen(len(b))
	h := unix.Msghdr{Name: &to.raw.bytes[0], Namelen: to.raw.length, Iov: &vector}
	h.SetIovlen(1)
	if to.raw.sourceLength > 0 {
		h.Control = &to.raw.source[0]
		h.SetControllen(to.raw.sourceLength)
		if errno := p.sendmsg(&h); !notOurs(errno) {
			return errno
		}
		h.Control = nil
		h.SetControllen(0)
	}
	return p.sendmsg(&h)
}

func (p *linuxPort) sendmsg(h *unix.Msghdr) unix.Errno {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if p.slow.Load() {
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(p.fd), uintptr(unsafe.Pointer(h)), flags)
		return errno
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(p.fd), uintptr(unsafe.Pointer(h)), flags)
	return errno
}

// notOurs reports whether the cause of an error may be that the machine no longer has the address to send from.
func notOurs(errno unix.Errno) bool {
	return errno == unix.EINVAL || errno == unix.ENETUNREACH || errno == unix.EADDRNOTAVAIL
}
