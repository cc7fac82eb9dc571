package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun"

	"siaran/internal/iceurl"
	"siaran/internal/signalling"
)

const (
	streamRead   = 16 << 10 // bytes; a record of TLS
	streamWrite  = 5 * time.Second
	stunMessage  = 20 // bytes of its header
	maxRelayMark = 8  // relays of one answer that are considered
)

// relayServer is a relay that the answer to an offer names.
type relayServer struct {
	host                 string // with its port
	name                 string // for the certificate
	username, credential string
}

// relayIn finds a relay in the values of Link (RFC 9725 section 4.6).
func relayIn(links []string, over Relay) (relayServer, error) {
	servers := signalling.ICEServers(links)
	for _, server := range servers[:min(len(servers), maxRelayMark)] {
		u, err := iceurl.Parse(server.URL)
		if err != nil {
			continue
		}
		is := map[Relay]bool{
			RelayUDP: u.Scheme == stun.SchemeTypeTURN && u.Proto == stun.ProtoTypeUDP,
			RelayTCP: u.Scheme == stun.SchemeTypeTURN && u.Proto == stun.ProtoTypeTCP,
			RelayTLS: u.Scheme == stun.SchemeTypeTURNS && u.Proto == stun.ProtoTypeTCP,
		}
		if is[over] {
			return relayServer{
				host: net.JoinHostPort(u.Host, strconv.Itoa(u.Port)), name: u.Host,
				username: server.Username, credential: server.Credential,
			}, nil
		}
	}
	return relayServer{}, fmt.Errorf("the server names no relay over %s", strings.ToUpper(string(over)))
}

// goThrough connects a viewer to the relay that the server names, and returns those of the server's addresses that can
// be reached through it.
func (c *audience) goThrough(
	ctx context.Context, v *viewer, links []string, candidates []netip.AddrPort,
) ([]netip.AddrPort, error) {
	server, err := relayIn(links, c.cfg.Relay)
	if err != nil {
		return nil, err
	}
	if c.cfg.Relay == RelayUDP {
		err = c.openDatagrams(ctx, v, server)
	} else {
		err = c.openStream(ctx, v, server)
	}
	if err != nil {
		return nil, err
	}
	return v.allocate(ctx, candidates)
}

func (c *audience) openDatagrams(ctx context.Context, v *viewer, server relayServer) error {
	host, port, err := net.SplitHostPort(server.host)
	if err != nil {
		return err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	to := netip.AddrPortFrom(ips[0].Unmap(), uint16(number))
	if _, err := v.open(c.pump, to.Addr().Is6()); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.socket.connect(to); err != nil {
		return err
	}
	v.relay = newRelayClient(v.socket, false, server)
	return nil
}

func (c *audience) openStream(ctx context.Context, v *viewer, server relayServer) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", server.host)
	if err != nil {
		return err
	}
	if c.cfg.Relay == RelayTLS {
		secure := tls.Client(conn, &tls.Config{ServerName: server.name, RootCAs: c.cfg.Roots})
		if err := secure.HandshakeContext(ctx); err != nil {
			return errors.Join(err, conn.Close())
		}
		conn = secure
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s := &streamSocket{conn: conn}
	v.socket = s
	v.relay = newRelayClient(s, true, server)
	c.running.Go(func() { v.readStream(conn) })
	return nil
}

// readStream delivers messages until the connection ends. Messages that arrived together are handled under one lock.
func (v *viewer) readStream(conn net.Conn) {
	from := netip.AddrPort{} // the relay's messages say where data is from
	in := bufio.NewReaderSize(conn, streamRead)
	for {
		if _, err := in.Peek(channelHeader); err != nil {
			break
		}
		v.mu.Lock()
		for {
			message, ok := nextMessage(in)
			if !ok {
				break
			}
			v.arrive(message, from)
		}
		v.mu.Unlock()
		if err := wholeMessage(in); err != nil {
			break
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		v.end("the relay has closed the connection")
	}
}

// lengthOf returns the length of a message with its padding, from its first bytes.
func lengthOf(header []byte) int {
	length := int(binary.BigEndian.Uint16(header[2:]))
	if header[0] < 4 {
		return stunMessage + length
	}
	return (channelHeader + length + 3) &^ 3
}

// nextMessage returns the next message if it has arrived completely. It is valid until the next read.
func nextMessage(in *bufio.Reader) ([]byte, bool) {
	if in.Buffered() < channelHeader {
		return nil, false
	}
	header, err := in.Peek(channelHeader)
	if err != nil {
		return nil, false
	}
	length := lengthOf(header)
	if in.Buffered() < length {
		return nil, false
	}
	message, err := in.Peek(length)
	if err != nil {
		return nil, false
	}
	_, _ = in.Discard(length) // cannot fail: it is in the buffer
	return message, true
}

// wholeMessage waits until a message has arrived completely.
func wholeMessage(in *bufio.Reader) error {
	header, err := in.Peek(channelHeader)
	if err != nil {
		return err
	}
	length := lengthOf(header)
	if length > in.Size() {
		return io.ErrShortBuffer
	}
	_, err = in.Peek(length)
	return err
}

// streamSocket is a viewer's connection to a relay over TCP or TLS.
type streamSocket struct{ conn net.Conn }

func (s *streamSocket) localPort() uint16             { return 0 }
func (s *streamSocket) sendTo([]byte, netip.AddrPort) {}
func (s *streamSocket) connect(netip.AddrPort) error  { return nil }
func (s *streamSocket) sample(bool)                   {} // the kernel sees no packets in a stream
func (s *streamSocket) dropped() uint64               { return 0 }

func (s *streamSocket) send(b []byte) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(streamWrite)) // fails on a closed connection, as does Write
	_, _ = s.conn.Write(b)                                   // the reader notices
}

func (s *streamSocket) close() { _ = s.conn.Close() }
