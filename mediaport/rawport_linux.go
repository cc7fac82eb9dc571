package mediaport

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readBatch = 64 // datagrams for each system call
	// How long to wait for room in a full send buffer before the rest of a batch is dropped.
	sendPatience   = 2 * time.Millisecond
	segmentControl = 24 // bytes of an aligned control message that holds 16 bits
	controlSize    = segmentControl + sourceControl
	// A system call of the packet path that took longer than this had to wait for something.
	slowCall = time.Millisecond
)

// linuxPort is a descriptor that is written in batches. It is not registered with Go's poller, which asks for
// writability too and would wake a thread after each send. Registered instead is an epoll descriptor that only watches
// for what can be read. (A thread that waits in recvmmsg has its P retaken by the runtime's monitor each time, which
// keeps the monitor awake.)
//
// System calls of the packet path use RawSyscall: they do not wait for the network, and entersyscall would wake the
// monitor (sysmon), which then polls every 20 µs. That was a tenth of the server's CPU when measured. They may still
// have to wait for memory where the machine or the container has little of it, and a garbage collection would wait for
// them. So the call after a slow one uses Syscall.
type linuxPort struct {
	fd       int
	v6       bool
	many     bool // bound to all addresses of the machine
	address  netip.AddrPort
	gso      atomic.Bool
	singly   atomic.Uint64    // runs
	full     atomic.Uint64    // datagrams for which the system had no room
	noGSO    func(unix.Errno) // logs that runs are not sent any more, once
	sendmmsg func([]unix.Mmsghdr) (int, unix.Errno)
	slow     atomic.Bool // the last batch was slow to send
	epoll    *os.File
	readable syscall.RawConn // of epoll
	mu       sync.RWMutex    // held for reading while fd is in use, so that its number is not reused
	closed   bool
}

// openRaw opens the descriptors for an address. If there are several, the kernel always gives a source to the same one.
func openRaw(addr *net.UDPAddr, options Options) ([]rawPort, error) {
	// The first is opened without sharing, which would hide that the port is in use.
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
	ports := make([]rawPort, len(list))
	noGSO := logOnce(options.Logger)
	for i, p := range list {
		p.noGSO = noGSO
		if options.DSCP > 0 {
			_ = unix.SetsockoptInt(p.fd, unix.IPPROTO_IP, unix.IP_TOS, options.DSCP<<2)
			_ = unix.SetsockoptInt(p.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, options.DSCP<<2)
		}
		p.gso.Store(!options.NoGSO && probeGSO(p.fd))
		ports[i] = p
	}
	return ports, nil
}

// openEither opens a socket for IPv6 and IPv4 if the system has both, and otherwise for IPv4.
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
	p.sendmmsg = p.sendMany
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
	// As much as the system allows; root may have more.
	for _, option := range [][2]int{{unix.SO_RCVBUF, unix.SO_RCVBUFFORCE}, {unix.SO_SNDBUF, unix.SO_SNDBUFFORCE}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, option[1], socketBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option[0], socketBuffer)
		}
	}
	p.fragment()
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

// fragment lets datagrams that are too large for a link go out in fragments. On IPv4 routers fragment where they must
// unless "don't fragment" is set, so there is nothing to learn from ICMP, which anybody can forge: one such message
// would get a viewer's packets fragmented at 552 bytes, and many networks drop fragments. On IPv6 only the sender can
// fragment, so what routers say is believed; the kernel accepts no less than 1,280 bytes from them (RFC 8201 section
// 4).
func (p *linuxPort) fragment() {
	_ = unix.SetsockoptInt(p.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
	if p.v6 {
		_ = unix.SetsockoptInt(p.fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_WANT)
	}
}

// logOnce makes a function that logs, once, that runs are not sent any more.
func logOnce(logger *slog.Logger) func(unix.Errno) {
	var once sync.Once
	return func(errno unix.Errno) {
		if logger != nil {
			once.Do(func() {
				logger.Warn("the network device does not support UDP_SEGMENT, maybe because it has no checksum offload: "+
					"datagrams are sent one by one from now on, which costs more CPU", "error", errno)
			})
		}
	}
}

// probeGSO reports whether the kernel knows UDP_SEGMENT (Linux 4.18).
func probeGSO(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	return err == nil
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
