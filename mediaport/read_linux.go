package mediaport

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// read implements rawPort.
func (p *linuxPort) read(handle func([]byte, netip.AddrPort, netip.Addr)) {
	bufs := make([]byte, readBatch*MaxDatagram)
	names := make([]rawAddress, readBatch)
	vectors := make([]unix.Iovec, readBatch)
	headers := make([]unix.Mmsghdr, readBatch)
	control := make([]uint64, readBatch*sourceControl/8) // aligned for the kernel
	for i := range headers {
		if p.many {
			headers[i].Hdr.Control = (*byte)(unsafe.Pointer(&control[i*sourceControl/8]))
		}
		vectors[i].Base = &bufs[i*MaxDatagram]
		vectors[i].SetLen(MaxDatagram)
		headers[i].Hdr.Iov = &vectors[i]
		headers[i].Hdr.SetIovlen(1)
		headers[i].Hdr.Name = &names[i].bytes[0]
	}
	slow, failures := false, 0
	for {
		for i := range headers {
			headers[i].Hdr.Namelen = unix.SizeofSockaddrInet6
			if p.many {
				headers[i].Hdr.SetControllen(sourceControl)
			}
		}
		var n int
		if p.readable.Read(func(uintptr) bool {
			var errno unix.Errno
			start := time.Now()
			n, errno = p.receiveMany(headers, slow)
			slow = time.Since(start) > slowCall
			if errno != 0 {
				n = 0 // errors of the network, such as ECONNREFUSED, do not matter
			}
			return errno != unix.EAGAIN
		}) != nil {
			return
		}
		if n > 0 {
			failures = 0
		} else if failures++; failures > readBatch { // an error that does not go away must not spin
			time.Sleep(time.Millisecond)
		}
		for i := range n {
			from := names[i].addrPort()
			if length := int(headers[i].Len); length > 0 && from.IsValid() {
				var local netip.Addr
				if h := &headers[i].Hdr; p.many {
					local = sentTo(unsafe.Slice(h.Control, int(h.Controllen)))
				}
				handle(bufs[i*MaxDatagram:i*MaxDatagram+length], from, local)
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

// receiveMany reads up to len(headers) datagrams and returns how many it has read.
func (p *linuxPort) receiveMany(headers []unix.Mmsghdr, slow bool) (int, unix.Errno) {
	const flags = unix.MSG_DONTWAIT
	var n uintptr
	var errno unix.Errno
	if slow {
		n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, uintptr(p.fd),
			uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), flags, 0, 0)
	} else {
		n, _, errno = unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(p.fd),
			uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), flags, 0, 0)
	}
	return int(n), errno
}
