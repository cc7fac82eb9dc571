package egress

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	readBatch = 64 // datagrams a system call
	// How long a full send buffer is waited for before a batch is given up.
	sendPatience   = 2 * time.Millisecond
	segmentControl = 24 // bytes of a control message with 16 bits in it, aligned
	controlSize    = segmentControl + sourceControl
)

// batchBuffers are what sendmmsg(2) is given, made once a batch.
type batchBuffers struct {
	headers []mmsghdr
	vectors []unix.Iovec
	control []byte
}

type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// linuxPort is a descriptor that is written in batches. Go's poller does not know it: it asks to be told of
// writability too, and would wake a thread after each send. What it knows is an epoll descriptor
// that is told of nothing but what can be read. (A thread that waits in recvmmsg instead has its P
// taken away by the runtime's monitor each time, which then keeps the monitor awake.)
// The system calls of the packet path never wait, and the runtime is not told of them: each one would wake its monitor too,
// which looks around every 20 µs then, and a tenth of the server's work was that.
type linuxPort struct {
	fd       int
	v6       bool
	many     bool // bound to all addresses of the machine
	address  netip.AddrPort
	gso      atomic.Bool
	epoll    *os.File
	readable syscall.RawConn // of epoll
	mu       sync.RWMutex    // held for reading while fd is in use, so that its number is not another file's by then
	closed   bool
}

// openPorts opens the descriptors for an address. With more than one, the kernel gives each
// source always to the same.
func openPorts(addr *net.UDPAddr, options SocketOptions) ([]port, error) {
	// The first is opened alone, so that a port in use is noticed: sharing would hide it.
	p, err := openEither(addr, false)
	if err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	list := []*linuxPort{p}
	if options.Shards > 1 {
		bound := *addr
		bound.Port = int(p.address.Port())
		p.discard()
		list = nil
		for range options.Shards {
			p, err := openEither(&bound, true)
			if err != nil {
				for _, p := range list {
					p.discard()
				}
				return nil, os.NewSyscallError("listen", err)
			}
			list = append(list, p)
		}
	}
	ports := make([]port, len(list))
	for i, p := range list {
		if options.DSCP > 0 {
			_ = unix.SetsockoptInt(p.fd, unix.IPPROTO_IP, unix.IP_TOS, options.DSCP<<2)
			_ = unix.SetsockoptInt(p.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, options.DSCP<<2)
		}
		p.gso.Store(!options.NoGSO && probeGSO(p.fd))
		ports[i] = p
	}
	return ports, nil
}

// openEither opens a socket for IPv6 and IPv4 where the system has both, and for IPv4 where it has not.
func openEither(addr *net.UDPAddr, shared bool) (*linuxPort, error) {
	if addr.IP.To4() != nil {
		return openLinux(addr, unix.AF_INET, shared)
	}
	p, err := openLinux(addr, unix.AF_INET6, shared)
	if len(addr.IP) == 0 && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		return openLinux(addr, unix.AF_INET, shared)
	}
	return p, err
}

func openLinux(addr *net.UDPAddr, family int, shared bool) (*linuxPort, error) {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	p := &linuxPort{fd: fd, v6: family == unix.AF_INET6, many: len(addr.IP) == 0 || addr.IP.IsUnspecified()}
	var sa unix.Sockaddr
	if p.v6 {
		if len(addr.IP) == 0 {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
		}
		s := &unix.SockaddrInet6{Port: addr.Port}
		copy(s.Addr[:], addr.IP.To16())
		sa = s
	} else {
		s := &unix.SockaddrInet4{Port: addr.Port}
		copy(s.Addr[:], addr.IP.To4())
		sa = s
	}
	if err == nil && p.many {
		err = p.tellLocal()
	}
	if err == nil && shared {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	// As much as the system allows; root is allowed more.
	for _, option := range [][2]int{{unix.SO_RCVBUF, unix.SO_RCVBUFFORCE}, {unix.SO_SNDBUF, unix.SO_SNDBUFFORCE}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, option[1], socketBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option[0], socketBuffer)
		}
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := p.watch(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	switch s := name.(type) {
	case *unix.SockaddrInet4:
		p.address = netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		p.address = netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port))
	}
	return p, nil
}

// probeGSO tells whether the kernel knows UDP_SEGMENT (Linux 4.18).
func probeGSO(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	return err == nil
}

func newPath(address netip.AddrPort, local netip.Addr, p port) *path {
	to := &path{address: address}
	lp, ok := p.(*linuxPort)
	if !ok {
		return to
	}
	if lp.many && local.IsValid() {
		to.raw.sendFrom(local, lp.v6)
	}
	b := to.raw.bytes[:]
	binary.BigEndian.PutUint16(b[2:], address.Port())
	if lp.v6 {
		binary.NativeEndian.PutUint16(b, unix.AF_INET6)
		ip := address.Addr().As16()
		copy(b[8:], ip[:])
		to.raw.length = unix.SizeofSockaddrInet6
		return to
	}
	binary.NativeEndian.PutUint16(b, unix.AF_INET)
	ip := address.Addr().Unmap()
	if ip.Is4() {
		ip4 := ip.As4()
		copy(b[4:], ip4[:])
	}
	to.raw.length = unix.SizeofSockaddrInet4
	return to
}

func (p *linuxPort) read(handle func([]byte, netip.AddrPort, netip.Addr)) {
	bufs := make([]byte, readBatch*maxDatagram)
	names := make([]rawAddress, readBatch)
	vectors := make([]unix.Iovec, readBatch)
	headers := make([]mmsghdr, readBatch)
	control := make([]uint64, readBatch*sourceControl/8) // aligned as the kernel wants it
	for i := range headers {
		if p.many {
			headers[i].header.Control = (*byte)(unsafe.Pointer(&control[i*sourceControl/8]))
		}
		vectors[i].Base = &bufs[i*maxDatagram]
		vectors[i].SetLen(maxDatagram)
		headers[i].header.Iov = &vectors[i]
		headers[i].header.SetIovlen(1)
		headers[i].header.Name = &names[i].bytes[0]
	}
	for {
		for i := range headers {
			headers[i].header.Namelen = unix.SizeofSockaddrInet6
			if p.many {
				headers[i].header.SetControllen(sourceControl)
			}
		}
		var n uintptr
		if p.readable.Read(func(uintptr) bool {
			var errno unix.Errno
			n, _, errno = unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(p.fd), uintptr(unsafe.Pointer(&headers[0])), readBatch, unix.MSG_DONTWAIT, 0, 0)
			if errno != 0 {
				n = 0 // an error of the network, such as ECONNREFUSED, is of no interest
			}
			return errno != unix.EAGAIN
		}) != nil {
			return
		}
		for i := range int(n) {
			from := names[i].addrPort()
			if length := int(headers[i].length); length > 0 && from.IsValid() {
				var local netip.Addr
				if h := &headers[i].header; p.many {
					local = sentTo(unsafe.Slice(h.Control, int(h.Controllen)))
				}
				handle(bufs[i*maxDatagram:i*maxDatagram+length], from, local)
			}
		}
	}
}

func (a *rawAddress) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(a.bytes[2:])
	switch binary.NativeEndian.Uint16(a.bytes[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a.bytes[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(a.bytes[8:24])).Unmap(), port)
	}
	return netip.AddrPort{}
}

func (p *linuxPort) send(b []byte, to *path) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return net.ErrClosed
	}
	if len(b) == 0 {
		return nil
	}
	errno := p.sendOne(b, to)
	if errno != 0 {
		return errno
	}
	return nil
}

func (p *linuxPort) segments() int {
	if p.gso.Load() {
		return maxSegments
	}
	return 1
}

func (p *linuxPort) sendBatch(b *batch) (lost int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return 0
	}
	b.fill()
	headers := b.system.headers[:len(b.messages)]
	waited := false
	for sent := 0; sent < len(headers); {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(p.fd), uintptr(unsafe.Pointer(&headers[sent])), uintptr(len(headers)-sent),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == 0:
			sent += int(n)
		case errno == unix.EINTR:
		case errno == unix.EAGAIN && !waited:
			waited = true
			p.waitWritable()
		case b.messages[sent].to.raw.sourceLength > 0 && notOurs(errno):
			lost += p.sendSingly(b, &b.messages[sent])
			sent++
		case (errno == unix.EIO || errno == unix.EINVAL) && b.messages[sent].segments > 1:
			p.gso.Store(false) // the device on the way cannot do it
			lost += p.sendSingly(b, &b.messages[sent])
			sent++
		default:
			lost += b.messages[sent].segments
			sent++
		}
	}
	return lost
}

// sendSingly sends the datagrams of a run one by one.
func (p *linuxPort) sendSingly(b *batch, m *message) (lost int) {
	b.each(m, func(datagram []byte) {
		if p.sendOne(datagram, m.to) != 0 {
			lost++
		}
	})
	return lost
}

func (p *linuxPort) waitWritable() {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLOUT}}, int(sendPatience/time.Millisecond))
}

// fill makes the system's headers for the messages.
func (b *batch) fill() {
	if b.system.headers == nil {
		b.system = batchBuffers{
			headers: make([]mmsghdr, batchMessages), vectors: make([]unix.Iovec, batchMessages), control: make([]byte, batchMessages*controlSize),
		}
	}
	for i := range b.messages {
		m := &b.messages[i]
		v, h := &b.system.vectors[i], &b.system.headers[i].header
		v.Base = &b.buf[m.start]
		v.SetLen(m.length)
		*h = unix.Msghdr{Name: &m.to.raw.bytes[0], Namelen: m.to.raw.length, Iov: v}
		h.SetIovlen(1)
		if n := m.to.raw.sourceLength; n > 0 {
			h.Control = &m.to.raw.source[0]
			h.SetControllen(n)
		}
		if m.segments > 1 {
			c := b.system.control[i*controlSize : (i+1)*controlSize]
			cmsg := (*unix.Cmsghdr)(unsafe.Pointer(&c[0]))
			cmsg.Level, cmsg.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
			cmsg.SetLen(unix.CmsgLen(2))
			binary.NativeEndian.PutUint16(c[unix.CmsgLen(0):], uint16(m.segment))
			h.Control = &c[0]
			h.SetControllen(unix.CmsgSpace(2) + copy(c[unix.CmsgSpace(2):], m.to.raw.source[:m.to.raw.sourceLength]))
		}
	}
}

func (p *linuxPort) local() netip.AddrPort { return p.address }

// watch makes the epoll descriptor.
func (p *linuxPort) watch() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := errors.Join(
		unix.SetNonblock(fd, true),
		unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, p.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.fd)}),
	); err != nil {
		unix.Close(fd)
		return err
	}
	p.epoll = os.NewFile(uintptr(fd), "media port")
	p.readable, err = p.epoll.SyscallConn()
	return err
}

// discard closes a port that has not been used.
func (p *linuxPort) discard() { _, _ = p.close(), p.free() }

func (p *linuxPort) close() error { return p.epoll.Close() }

// free closes the descriptor; the reader has returned by then.
func (p *linuxPort) free() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return unix.Close(p.fd)
}
