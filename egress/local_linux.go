package egress

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A machine may have several addresses. What is sent to a client leaves from the one that it has asked: it would not know
// another one, and a network before the machine that translates addresses may not either.

const sourceControl = 40 // bytes of a control message with an address (struct in6_pktinfo, the larger one), aligned

// rawAddress is a socket address as the kernel reads it, with a control message that says which of our addresses to
// send from (IP_PKTINFO, IPV6_PKTINFO).
type rawAddress struct {
	_            [0]uint64 // source is aligned
	bytes        [unix.SizeofSockaddrInet6]byte
	length       uint32
	source       [sourceControl]byte
	sourceLength int // 0: the system chooses
}

// tellLocal asks the system to tell which of our addresses a datagram was sent to.
func (p *linuxPort) tellLocal() error {
	if p.v6 { // which tells of IPv4 too
		return unix.SetsockoptInt(p.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(p.fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}

// sendFrom makes the control message. What is not an address of the socket's family leaves it out.
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

// sentTo reads which of our addresses a datagram was sent to from its control messages, of which there is one.
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

// sendOne sends a datagram from where it should leave, or from anywhere when that is no address of ours any more.
func (p *linuxPort) sendOne(b []byte, to *path) unix.Errno {
	if to.raw.sourceLength > 0 {
		vector := unix.Iovec{Base: &b[0]}
		vector.SetLen(len(b))
		h := unix.Msghdr{Name: &to.raw.bytes[0], Namelen: to.raw.length, Iov: &vector, Control: &to.raw.source[0]}
		h.SetIovlen(1)
		h.SetControllen(to.raw.sourceLength)
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(p.fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if !notOurs(errno) {
			return errno
		}
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(p.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&to.raw.bytes[0])), uintptr(to.raw.length))
	return errno
}

// notOurs tells whether an error may be because the address to send from is none of this machine any more.
func notOurs(errno unix.Errno) bool {
	return errno == unix.EINVAL || errno == unix.ENETUNREACH || errno == unix.EADDRNOTAVAIL
}
