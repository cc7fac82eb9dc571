package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	drainAtOnce   = 64 // datagrams of one viewer before it is another's turn
	receiveBuffer = 1 << 22
	// A resting thread polls its sockets at this interval instead of being woken by each packet, which adds as much
	// latency. It rests in Go's own timers: system calls that wait keep Go's monitor thread awake, which would cost
	// more than everything else here.
	rest = time.Millisecond
	// What a packet takes of a receive buffer in addition to its bytes, at most.
	packetOverhead = 1400
	memInfo        = 55 // SO_MEMINFO
	memInfoDrops   = 8  // SK_MEMINFO_DROPS
)

// epollPump reads all sockets with two threads that wait in epoll, outside of Go's poller: one for the viewers that
// read everything and one for all others.
type epollPump struct {
	readers, samplers *pumpThread
	running           sync.WaitGroup
}

type pumpThread struct {
	epoll int
	stop  [2]int // a pipe; closing its write end ends the thread
	rests atomic.Bool

	mu      sync.RWMutex
	viewers map[int32]*viewer // by descriptor
	room    int               // bytes of the smallest receive buffer
}

func newPump() (pump, error) {
	p := &epollPump{}
	for _, t := range []**pumpThread{&p.readers, &p.samplers} {
		opened := &pumpThread{viewers: make(map[int32]*viewer), room: 1 << 30}
		if err := opened.open(); err != nil {
			p.close()
			return nil, err
		}
		*t = opened
		p.running.Go(opened.run)
	}
	return p, nil
}

func (t *pumpThread) open() (err error) {
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	if err = unix.Pipe2(t.stop[:], unix.O_CLOEXEC); err != nil {
		return errors.Join(fmt.Errorf("pipe: %w", err), unix.Close(t.epoll))
	}
	stop := &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(t.stop[0])}
	if err = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, t.stop[0], stop); err != nil {
		err = fmt.Errorf("epoll: %w", err)
		return errors.Join(err, unix.Close(t.stop[0]), unix.Close(t.stop[1]), unix.Close(t.epoll))
	}
	return nil
}

// run delivers datagrams until the pipe is closed.
func (t *pumpThread) run() {
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, maxDatagram)
	for {
		patience := -1
		if t.rests.Load() {
			time.Sleep(rest - time.Duration(time.Now().UnixNano())%rest) // all threads wake at the same time
			patience = 0
		}
		n, err := unix.EpollWait(t.epoll, events, patience)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd == int32(t.stop[0]) {
				return
			}
			t.mu.RLock()
			v := t.viewers[e.Fd]
			t.mu.RUnlock()
			if v != nil {
				drain(v, int(e.Fd), buf)
			}
		}
	}
}

// drain reads what is queued in a viewer's socket. The viewer's lock keeps the descriptor from being closed.
func drain(v *viewer, fd int, buf []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.socket.(*rawSocket)
	if !ok || v.closed || s.fd != fd {
		return
	}
	for range drainAtOnce {
		n, from, err := s.read(buf)
		switch {
		case err == nil:
			v.arrive(buf[:n], from)
		case !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EINTR):
			return // EAGAIN: it is empty
		}
	}
}

func (p *epollPump) open(v *viewer, ip6 bool) (socket, error) {
	family, local := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{})
	if ip6 {
		family, local = unix.AF_INET6, &unix.SockaddrInet6{}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // as much as the kernel allows
	}
	room, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		room = 0
	}
	if err := unix.Bind(fd, local); err != nil {
		return nil, errors.Join(fmt.Errorf("bind a socket: %w", err), unix.Close(fd))
	}
	t := p.samplers
	if v.reads {
		t = p.readers
	}
	s := &rawSocket{fd: fd, ip6: ip6, thread: t}
	t.mu.Lock()
	t.viewers[int32(fd)] = v
	t.room = min(t.room, room)
	t.mu.Unlock()
	readable := &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, fd, readable); err != nil {
		s.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return s, nil
}

func (p *epollPump) coalesce(burst int) {
	p.samplers.rests.Store(burst > 0)
	p.readers.mu.RLock()
	defer p.readers.mu.RUnlock()
	taken := burst + burst/maxPayload*packetOverhead
	p.readers.rests.Store(burst > 0 && taken < p.readers.room/2)
}

func (p *epollPump) close() {
	for _, t := range []*pumpThread{p.readers, p.samplers} {
		if t != nil {
			_ = unix.Close(t.stop[1])
		}
	}
	p.running.Wait()
	for _, t := range []*pumpThread{p.readers, p.samplers} {
		if t != nil {
			_ = unix.Close(t.stop[0])
			_ = unix.Close(t.epoll)
		}
	}
}

// rawSocket is a socket outside of Go's poller.
type rawSocket struct {
	fd     int
	ip6    bool
	thread *pumpThread
	peer   netip.AddrPort // once it is connected
}

func (s *rawSocket) localPort() uint16 {
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return 0
	}
	return addrPortOf(name).Port()
}

// read reads one datagram. It does not ask a connected socket for the address, which saves an allocation.
func (s *rawSocket) read(buf []byte) (int, netip.AddrPort, error) {
	if s.peer.IsValid() {
		n, err := unix.Read(s.fd, buf)
		return n, s.peer, err
	}
	n, from, err := unix.Recvfrom(s.fd, buf, 0)
	return n, addrPortOf(from), err
}

func (s *rawSocket) sendTo(b []byte, to netip.AddrPort) {
	if s.peer.IsValid() {
		s.send(b)
		return
	}
	_ = unix.Sendto(s.fd, b, 0, s.sockaddr(to)) // a failure counts as a loss, as on the network
}

func (s *rawSocket) send(b []byte) { _, _ = unix.Write(s.fd, b) }

func (s *rawSocket) connect(to netip.AddrPort) error {
	if err := unix.Connect(s.fd, s.sockaddr(to)); err != nil {
		return err
	}
	s.peer = to
	return nil
}

func (s *rawSocket) sample(relayed bool) {
	filter := sampleFilter
	if relayed {
		filter = relayedFilter
	}
	_ = setFilter(s.fd, filter) // without it everything is read, which costs more but is as exact
}

// dropped reads the socket's counter of what the filter dropped and what did not fit into the buffer.
func (s *rawSocket) dropped() uint64 {
	var info [16]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, memInfo,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < 4*(memInfoDrops+1) {
		return 0
	}
	return uint64(info[memInfoDrops])
}

func (s *rawSocket) close() {
	s.thread.mu.Lock()
	delete(s.thread.viewers, int32(s.fd))
	s.thread.mu.Unlock()
	_ = unix.Close(s.fd) // epoll forgets it by itself
}

func (s *rawSocket) sockaddr(a netip.AddrPort) unix.Sockaddr {
	if s.ip6 {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	if !a.Addr().Unmap().Is4() {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()} // the kernel refuses it
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
}

func addrPortOf(s unix.Sockaddr) netip.AddrPort {
	switch a := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
