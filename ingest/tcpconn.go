package ingest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"siaran/internal/netaddr"
	"siaran/mediaport"
)

const (
	tcpIdle  = 30 * time.Second // without a complete frame; clients send checks every few seconds (RFC 7675)
	tcpStall = 10 * time.Second // for the remote side to accept one frame
	tcpFlush = time.Second      // to flush the queue at the end
	tcpQueue = 128              // frames that may wait to be sent; more are lost, as with UDP
)

var errFrame = errors.New("the frame is too long")

// tcpConn is one TCP connection with the framing of RFC 4571. Its reader waits when its session is behind, its writer
// when the remote side is. Neither makes anyone else wait.
type tcpConn struct {
	owner  *tcpListener
	conn   net.Conn
	remote *net.TCPAddr
	addr   netip.AddrPort // the same address
	source netip.Prefix

	// Guarded by the session's mu.
	standing
	checked bool // its first check has been taken

	queue chan []byte   // never closed
	done  chan struct{} // closed when the connection must end
	once  sync.Once
}

func newTCPConn(owner *tcpListener, conn net.Conn, remote *net.TCPAddr) *tcpConn {
	addr := remote.AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return &tcpConn{
		owner: owner, conn: conn, remote: remote, addr: addr, source: netaddr.SourceOf(addr.Addr()),
		queue: make(chan []byte, tcpQueue), done: make(chan struct{}),
	}
}

// close makes both goroutines end. What is queued is still sent if the remote side accepts it.
func (c *tcpConn) close() {
	c.once.Do(func() {
		close(c.done)
		c.conn.SetWriteDeadline(time.Now().Add(tcpFlush))
	})
}

// send queues a datagram, or drops it if the remote side does not keep up.
func (c *tcpConn) send(data []byte) {
	if len(data) > maxDatagram {
		return
	}
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(data)), uint16(len(data)))
	select {
	case c.queue <- append(frame, data...):
	default:
	}
}

func (c *tcpConn) write() {
	defer c.conn.Close() // which ends the reader too
	for {
		select {
		case frame := <-c.queue:
			if !c.put(frame) {
				c.close()
				return
			}
		case <-c.done:
			for {
				select {
				case frame := <-c.queue:
					if !c.put(frame) {
						return
					}
				default:
					return
				}
			}
		}
	}
}

func (c *tcpConn) put(frame []byte) bool {
	c.conn.SetWriteDeadline(time.Now().Add(tcpStall))
	select {
	case <-c.done:
		c.conn.SetWriteDeadline(time.Now().Add(tcpFlush))
	default:
	}
	_, err := c.conn.Write(frame)
	return err == nil
}

func (c *tcpConn) read() {
	defer c.owner.forget(c)
	defer c.close()
	defer c.owner.mux.faults.Recover("a broadcaster's connection", nil)
	in := bufio.NewReaderSize(c.conn, 8<<10)
	c.conn.SetReadDeadline(time.Now().Add(c.owner.firstCheck))
	d, err := readFrame(in)
	if err != nil {
		return
	}
	s := c.owner.mux.sessionOfCheck(d.buf[:d.n])
	if s == nil || !s.join(c) {
		buffers.Put(d.buf)
		return
	}
	defer s.part(c)
	c.owner.checked(c)
	for {
		if !s.take(c, d) {
			return
		}
		c.conn.SetReadDeadline(time.Now().Add(tcpIdle))
		if d, err = readFrame(in); err != nil {
			return
		}
	}
}

// readFrame reads the next datagram. It skips empty ones.
func readFrame(in *bufio.Reader) (datagram, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return datagram{}, err
		}
		n := int(binary.BigEndian.Uint16(head[:]))
		if n > maxDatagram {
			return datagram{}, errFrame
		}
		if n == 0 {
			continue
		}
		d := datagram{buf: buffers.Get().(*[maxDatagram]byte), n: n}
		if _, err := io.ReadFull(in, d.buf[:n]); err != nil {
			buffers.Put(d.buf)
			return datagram{}, err
		}
		return d, nil
	}
}

// sessionOfCheck is the session that the first check of a connection is for. It is nil if data is not a check, was not
// made with the session's password, or has come before: somebody may have captured it.
func (m *mux) sessionOfCheck(data []byte) *muxSession {
	ufrag := mediaport.RequestUfrag(data)
	s := m.find(ufrag)
	if s == nil || s.tcp4 == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.named(ufrag); c != nil {
		if told, _ := s.inwardCheck(data, c); told != nil && s.ids.Add(mediaport.TransactionID(data[8:20])) {
			return s
		}
	}
	return nil
}
