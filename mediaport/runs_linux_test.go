package mediaport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"siaran/internal/testutil"
)

// collector is a UDP socket that receives what a port sends.
type collector struct {
	t    *testing.T
	conn *net.UDPConn
}

func newCollector(t *testing.T, address string) *collector {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &collector{t, conn.(*net.UDPConn)}
}

func (c *collector) address() netip.AddrPort {
	return c.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// want waits for datagrams of these sizes, in this order, each filled with its number.
func (c *collector) want(sizes ...int) {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 2*MaxDatagram)
	for i, size := range sizes {
		n, _, err := c.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			c.t.Fatalf("datagram %d of %d: %v", i, len(sizes), err)
		}
		if !bytes.Equal(buf[:n], bytes.Repeat([]byte{byte(i)}, size)) {
			c.t.Fatalf("datagram %d has %d bytes and begins with %d; want %d bytes", i, n, buf[0], size)
		}
	}
}

var frameSizes = []int{1200, 1200, 1200, 1200, 1200, 1200, 1200, 700}

// sendFrame sends a frame in one batch and returns how many messages that takes and how many datagrams are lost.
func sendFrame(s *Socket, to *Path, sizes ...int) (messages, lost int) {
	b := newBatch(s.ports[0], &s.relays, func(n int) { lost += n })
	for i, size := range sizes {
		copy(b.Room(), bytes.Repeat([]byte{byte(i)}, size))
		b.Add(size, to)
	}
	messages = len(b.messages)
	b.Flush()
	return messages, lost
}

// refuseRunsTo makes the system refuse runs to one path, as the kernel does if they do not fit it.
func refuseRunsTo(p *linuxPort, to *Path, errno unix.Errno) {
	p.sendmmsg = func(headers []unix.Mmsghdr) (int, unix.Errno) {
		for i := range headers {
			if h := &headers[i].Hdr; h.Name == &to.raw.bytes[0] && isRun(h) {
				if i == 0 {
					return 0, errno
				}
				return p.sendMany(headers[:i])
			}
		}
		return p.sendMany(headers)
	}
}

func isRun(h *unix.Msghdr) bool {
	return h.Control != nil && (*unix.Cmsghdr)(unsafe.Pointer(h.Control)).Level == unix.IPPROTO_UDP
}

// TestRefusedRuns: the datagrams of a run that the system refuses go out one by one, all of them; from then on that
// path gets single ones and the others still runs, unless the device is to blame.
func TestRefusedRuns(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EMSGSIZE, unix.EINVAL, unix.EIO} {
		for _, listen := range []string{"127.0.0.1:0", ":0"} {
			t.Run(fmt.Sprintf("%v %s", errno, listen), func(t *testing.T) {
				var log bytes.Buffer
				s := openFor(t, listen, Options{Shards: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				p := s.ports[0].(*linuxPort)
				if p.segments() == 1 {
					t.Skip("SKIPPED: this kernel has no UDP_SEGMENT")
				}
				narrow, wide := newCollector(t, "127.0.0.1:0"), newCollector(t, "127.0.0.1:0")
				loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
				toNarrow, toWide := s.Path(narrow.address(), loopback), s.Path(wide.address(), loopback)
				refuseRunsTo(p, toNarrow, errno)
				for i := range 3 {
					wantNarrow, wantWide := len(frameSizes), 1
					if i == 0 {
						wantNarrow = 1 // the port does not know yet
					} else if errno == unix.EIO {
						wantWide = len(frameSizes)
					}
					if n, lost := sendFrame(s, toNarrow, frameSizes...); n != wantNarrow || lost > 0 {
						t.Errorf("frame %d goes to the narrow path in %d messages, want %d; %d lost", i, n, wantNarrow, lost)
					}
					narrow.want(frameSizes...)
					if errno == unix.EIO && i == 0 {
						continue
					}
					if n, lost := sendFrame(s, toWide, frameSizes...); n != wantWide || lost > 0 {
						t.Errorf("frame %d goes to the wide path in %d messages, want %d; %d lost", i, n, wantWide, lost)
					}
					wide.want(frameSizes...)
				}
				lines := 0
				if errno == unix.EIO {
					lines = 1
				}
				if got := strings.Count(log.String(), "UDP_SEGMENT"); got != lines {
					t.Errorf("%d lines of log, want %d: %s", got, lines, log.String())
				}
				toNarrow.singlyUntil.Store(time.Now().Add(-time.Second).UnixNano())
				if !toNarrow.takesRuns() {
					t.Error("runs are never tried again")
				}
			})
		}
	}
}

// TestRefusedRunAmongOthers: the rest of a batch is sent whatever is refused.
func TestRefusedRunAmongOthers(t *testing.T) {
	s := openFor(t, "127.0.0.1:0", Options{Shards: 1})
	p := s.ports[0].(*linuxPort)
	before, narrow, after := newCollector(t, "127.0.0.1:0"), newCollector(t, "127.0.0.1:0"), newCollector(t, "127.0.0.1:0")
	paths := make([]*Path, 3)
	b := newBatch(p, &s.relays, func(n int) { t.Errorf("%d lost", n) })
	for i, c := range []*collector{before, narrow, after} {
		paths[i] = s.Path(c.address(), netip.Addr{})
	}
	refuseRunsTo(p, paths[1], unix.EMSGSIZE)
	for _, to := range paths {
		for i, size := range frameSizes {
			copy(b.Room(), bytes.Repeat([]byte{byte(i)}, size))
			b.Add(size, to)
		}
	}
	b.Flush()
	for _, c := range []*collector{before, narrow, after} {
		c.want(frameSizes...)
	}
}

// TestPortWithoutRuns: a Port sends singly too after a run has been refused.
func TestPortWithoutRuns(t *testing.T) {
	p, err := Listen("127.0.0.1:0", func([]byte, netip.AddrPort, netip.Addr) {})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	lp, c := p.raw.(*linuxPort), newCollector(t, "127.0.0.1:0")
	calls := 0
	lp.sendmmsg = func(headers []unix.Mmsghdr) (int, unix.Errno) {
		calls++
		if isRun(&headers[0].Hdr) {
			return 0, unix.EMSGSIZE
		}
		return lp.sendMany(headers)
	}
	send := p.Sender(c.address(), netip.Addr{})
	var run []byte
	for i, size := range frameSizes {
		run = append(run, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	for range 3 {
		if lost := send(run, frameSizes[0]); lost > 0 {
			t.Errorf("%d lost", lost)
		}
		c.want(frameSizes...)
	}
	if calls != 3 {
		t.Errorf("%d system calls for three runs: what is refused once is tried each time", calls)
	}
}

// TestBatchIsBounded: a batch of small datagrams is one short system call too.
func TestBatchIsBounded(t *testing.T) {
	s := openFor(t, "127.0.0.1:0", Options{Shards: 1})
	p := s.ports[0].(*linuxPort)
	to := s.Path(newCollector(t, "127.0.0.1:0").address(), netip.Addr{})
	b := newBatch(p, &s.relays, func(int) {})
	most := 0
	p.sendmmsg = func(headers []unix.Mmsghdr) (int, unix.Errno) {
		datagrams := 0
		for i := range b.messages {
			datagrams += b.messages[i].segments
		}
		most = max(most, datagrams)
		return len(headers), 0
	}
	for range 10_000 {
		b.Room()
		b.Add(60, to)
	}
	b.Flush()
	if most == 0 || most > batchDatagrams {
		t.Errorf("%d datagrams in one system call", most)
	}
}

// TestSlowCalls: the runtime is told of a system call that follows a slow one, and what is sent arrives either
// way.
func TestSlowCalls(t *testing.T) {
	s := openFor(t, ":0", Options{Shards: 1})
	p, c := s.ports[0].(*linuxPort), newCollector(t, "127.0.0.1:0")
	for _, slow := range []bool{true, false} {
		p.slow.Store(slow)
		if _, lost := sendFrame(s, s.Path(c.address(), netip.Addr{}), frameSizes...); lost > 0 {
			t.Errorf("slow: %v, %d lost", slow, lost)
		}
		c.want(frameSizes...)
		p.slow.Store(slow)
		if err := p.send(make([]byte, 100), s.Path(c.address(), netip.AddrFrom4([4]byte{127, 0, 0, 1}))); err != nil {
			t.Error(err)
		}
		c.want(100)
	}
}

// inNetwork puts the test into a network of its own, where what is sent to its own addresses, of which 192.0.2.1 is
// one, goes over an interface with an MTU, and what is sent to 192.0.2.2 over one of 1,500, and to nobody. It needs
// root.
func inNetwork(t *testing.T, mtu int) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test's goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("SKIPPED: no network of its own: %v; it needs root (a container: --privileged)", err)
	}
	for _, args := range []string{
		fmt.Sprintf("link set lo mtu %d up", mtu),
		"link add wide type veth peer name far", "link set far up", "link set wide up", "addr add 192.0.2.1/24 dev wide",
		"neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev wide",
	} {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			t.Skip("SKIPPED: no ip: 'apt-get install iproute2' on Debian")
		}
		if err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
}

// TestNarrowPath: a frame of packets that are larger than a path's MTU arrives, by the kernel's own answers; the others
// still get runs.
func TestNarrowPath(t *testing.T) {
	for _, mtu := range []int{1280, 1000} {
		for listen, client := range map[string]string{
			"192.0.2.1:0": "192.0.2.1:0", ":0": "127.0.0.1:0", "[::]:0": "[::1]:0",
		} {
			if mtu < 1280 && client == "[::1]:0" {
				continue // IPv6 has no such links
			}
			t.Run(fmt.Sprintf("%d %s to %s", mtu, listen, client), func(t *testing.T) {
				inNetwork(t, mtu)
				s := openFor(t, listen, Options{Shards: 1})
				narrow := newCollector(t, client)
				to := s.Path(narrow.address(), narrow.address().Addr())
				sizes := []int{1400, 1400, 1400, 1400, 700}
				for range 2 {
					if _, lost := sendFrame(s, to, sizes...); lost > 0 {
						t.Errorf("%d lost", lost)
					}
					narrow.want(sizes...)
				}
				if err := s.ports[0].send(make([]byte, 1400), to); err != nil {
					t.Error(err)
				}
				narrow.want(1400)
				if to.takesRuns() {
					t.Error("the path gets runs")
				}
				if client == "[::1]:0" {
					return
				}
				wide := s.Path(netip.MustParseAddrPort("192.0.2.2:9"), netip.Addr{})
				if n, lost := sendFrame(s, wide, sizes...); n != 1 || lost > 0 || !wide.takesRuns() {
					t.Errorf("another path gets %d messages, %d lost, runs: %v", n, lost, wide.takesRuns())
				}
			})
		}
	}
}

// TestForgedFragmentationNeeded: an ICMP message that anybody can send does not have a viewer's packets cut to pieces.
func TestForgedFragmentationNeeded(t *testing.T) {
	inNetwork(t, 65536)
	icmp, err := net.ListenPacket("ip4:icmp", "192.0.2.1")
	if err != nil {
		t.Skipf("SKIPPED: no raw socket: %v", err)
	}
	defer icmp.Close()
	viewer := netip.MustParseAddrPort("192.0.2.2:9")
	for _, believes := range []bool{true, false} { // the one that believes it shows that the message is a good one
		s := openFor(t, ":0", Options{Shards: 1})
		if fd := s.ports[0].(*linuxPort).fd; believes {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_WANT); err != nil {
				t.Fatal(err)
			}
		}
		to := s.Path(viewer, netip.Addr{})
		sendFrame(s, to, frameSizes...)
		self := &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}
		if _, err := icmp.WriteTo(fragmentationNeeded(s.Port(), viewer), self); err != nil {
			t.Fatal(err)
		}
		if n, lost := sendFrame(s, to, frameSizes...); n != 1 || lost > 0 {
			t.Errorf("%d messages, %d lost", n, lost)
		}
		if to.takesRuns() == believes {
			t.Errorf("believes: %v, takes runs: %v", believes, to.takesRuns())
		}
	}
}

// fragmentationNeeded says (RFC 1191 section 4) that a datagram from 192.0.2.1 was too large for an MTU of 552.
func fragmentationNeeded(from uint16, to netip.AddrPort) []byte {
	b := make([]byte, 8+20+8)
	b[0], b[1] = 3, 4
	binary.BigEndian.PutUint16(b[6:], 552)
	ip, udp := b[8:28], b[28:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], 1228)
	copy(ip[12:], []byte{192, 0, 2, 1})
	copy(ip[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(udp, from)
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], 1208)
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum>>16+sum))
	return b
}
