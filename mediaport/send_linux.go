package mediaport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchBuffers are the arguments of sendmmsg(2), allocated once for each batch.
type batchBuffers struct {
	headers []unix.Mmsghdr
	vectors []unix.Iovec
	control []byte
}

// newPath makes a path with its address in the form that the kernel wants.
func newPath(address netip.AddrPort, local netip.Addr, p rawPort) *Path {
	to := &Path{address: address}
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

func (p *linuxPort) send(b []byte, to *Path) error {
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

func (p *linuxPort) sendBatch(b *Batch) (lost int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return 0
	}
	b.fill()
	headers := b.system.headers[:len(b.messages)]
	waited := false
	for sent := 0; sent < len(headers); {
		n, errno := p.sendmmsg(headers[sent:])
		m := &b.messages[sent]
		switch {
		case errno == 0:
			sent += n
		case errno == unix.EINTR:
		case errno == unix.EAGAIN && !waited:
			waited = true
			p.waitWritable()
		case m.segments > 1 && p.refused(m.to, errno), m.to.raw.sourceLength > 0 && notOurs(errno):
			lost += p.sendSingly(b, m)
			sent++
		default:
			if errno == unix.EAGAIN || errno == unix.ENOBUFS || errno == unix.ENOMEM {
				p.full.Add(uint64(m.segments))
			}
			lost += m.segments
			sent++
		}
	}
	return lost
}

// refused reports whether an error means that the system does not send this run but might send its datagrams one by
// one, and remembers it. The error is EMSGSIZE, or EINVAL before Linux 6.14, if they are too large for the path's MTU.
// It is EIO if the device cannot add checksums, which concerns every run that goes through it.
func (p *linuxPort) refused(to *Path, errno unix.Errno) bool {
	switch errno {
	case unix.EMSGSIZE, unix.EINVAL:
		to.refuseRuns()
	case unix.EIO:
		to.refuseRuns()
		p.gso.Store(false)
		p.noGSO(errno)
	default:
		return false
	}
	p.singly.Add(1)
	return true
}

func (p *linuxPort) refusals() uint64 { return p.singly.Load() }

func (p *linuxPort) stuck() uint64 { return p.full.Load() }

// sendMany hands messages to the system and returns how many it took. An error is about the first one that it did not
// take.
func (p *linuxPort) sendMany(headers []unix.Mmsghdr) (int, unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	slow, start := p.slow.Load(), time.Now()
	var n uintptr
	var errno unix.Errno
	if slow {
		n, _, errno = unix.Syscall6(unix.SYS_SENDMMSG, uintptr(p.fd),
			uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), flags, 0, 0)
	} else {
		n, _, errno = unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(p.fd),
			uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), flags, 0, 0)
	}
	if now := time.Since(start) > slowCall; now != slow {
		p.slow.Store(now)
	}
	return int(n), errno
}

// sendSingly sends the datagrams of a run one by one.
func (p *linuxPort) sendSingly(b *Batch, m *message) (lost int) {
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

// fill writes the system's headers for the messages.
func (b *Batch) fill() {
	if b.system.headers == nil {
		b.system = batchBuffers{
			headers: make([]unix.Mmsghdr, batchMessages), vectors: make([]unix.Iovec, batchMessages),
			control: make([]byte, batchMessages*controlSize),
		}
	}
	for i := range b.messages {
		m := &b.messages[i]
		v, h := &b.system.vectors[i], &b.system.headers[i].Hdr
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
