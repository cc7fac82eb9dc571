package ingest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/stun"
)

const (
	streamIdle  = 30 * time.Second // without a whole frame; clients check every few seconds (RFC 7675)
	streamStall = 10 * time.Second // for the remote side to take one frame
	streamFlush = time.Second      // to say goodbye
	streamQueue = 128              // frames that wait to be taken; what is beyond is lost, as on UDP
)

var errFrame = errors.New("a frame that is no datagram of ours")

// stream is one TCP connection, framed as RFC 4571 has it. Its reader waits when its session is behind,
// its writer when the remote side is: neither makes anyone else wait.
type stream struct {
	owner  *streams
	conn   net.Conn
	remote *net.TCPAddr
	addr   netip.AddrPort // the same
	source netip.Prefix

	queue chan []byte   // never closed
	done  chan struct{} // closed when it is to end
	once  sync.Once
}

func newStream(owner *streams, conn net.Conn, remote *net.TCPAddr) *stream {
	addr := remote.AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return &stream{
		owner: owner, conn: conn, remote: remote, addr: addr, source: sourceOf(addr.Addr()),
		queue: make(chan []byte, streamQueue), done: make(chan struct{}),
	}
}

// close makes both goroutines end; what is queued still goes out if the remote side takes it.
func (c *stream) close() {
	c.once.Do(func() {
		close(c.done)
		c.conn.SetWriteDeadline(time.Now().Add(streamFlush))
	})
}

// send queues a datagram, or drops it when the remote side does not keep up.
func (c *stream) send(data []byte) {
	if len(data) > maxDatagram {
		return
	}
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(data)), uint16(len(data)))
	select {
	case c.queue <- append(frame, data...):
	default:
	}
}

func (c *stream) write() {
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

func (c *stream) put(frame []byte) bool {
	c.conn.SetWriteDeadline(time.Now().Add(streamStall))
	select {
	case <-c.done:
		c.conn.SetWriteDeadline(time.Now().Add(streamFlush))
	default:
	}
	_, err := c.conn.Write(frame)
	return err == nil
}

func (c *stream) read() {
	defer c.owner.forget(c)
	defer c.close()
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
		c.conn.SetReadDeadline(time.Now().Add(streamIdle))
		if d, err = readFrame(in); err != nil {
			return
		}
	}
}

// readFrame reads the next datagram. Empty ones are passed over.
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

// sessionOfCheck is the session that a connectivity check is for, nil when it is none or was not
// made with the session's password.
func (m *mux) sessionOfCheck(data []byte) *muxSession {
	name, ok := requestUfrag(data)
	if !ok {
		return nil
	}
	m.mu.Lock()
	s := m.names[name]
	m.mu.Unlock()
	if s == nil || s.streams == nil {
		return nil
	}
	msg := &stun.Message{Raw: slices.Clone(data)} // checking the integrity writes to it
	if msg.Decode() != nil || stun.NewShortTermIntegrity(s.password).Check(msg) != nil {
		return nil
	}
	return s
}
