package egress

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"siaran/internal/testutil"
	"siaran/mediaport"

	"github.com/pion/stun/v3"
)

// All of 127.0.0.0/8 are addresses of a Linux machine; the system by itself sends from 127.0.0.1.
var locals = []netip.Addr{netip.MustParseAddr("127.0.0.77"), netip.MustParseAddr("127.0.0.78")}

type localClient struct {
	*checker
	port uint16
}

func localStage(t *testing.T, address string, options mediaport.Options) (*mediaport.Socket, *link, *localClient) {
	t.Helper()
	s, err := mediaport.Open(address, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l := testLink(s, "viewer", viewerPassword)
	l.endpoint.Open()
	return s, l, &localClient{&checker{t: t, conn: conn, l: l}, s.Port()}
}

// ask sends a check to one of the addresses of the server and wants the answer to come from there.
func (c *localClient) ask(to netip.Addr, more ...stun.Setter) {
	c.t.Helper()
	setters := append([]stun.Setter{
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(c.l.ufrag + ":" + c.l.remoteUfrag),
	}, more...)
	m := stun.MustBuild(append(setters, stun.NewShortTermIntegrity(c.l.pwd), stun.Fingerprint)...)
	server := netip.AddrPortFrom(to, c.port)
	if _, err := c.conn.WriteToUDPAddrPort(m.Raw, server); err != nil {
		c.t.Fatal(err)
	}
	for {
		r := &stun.Message{Raw: c.want(to)}
		if err := r.Decode(); err != nil {
			c.t.Fatal(err)
		}
		if r.Type != stun.BindingRequest {
			return
		}
		if _, err := c.conn.WriteToUDPAddrPort(answerTo(c.t, r, viewerPassword).Raw, server); err != nil {
			c.t.Fatal(err)
		}
		testutil.Eventually(c.t,

			"proven", func() bool {
				c.l.mu.Lock()
				defer c.l.mu.Unlock()
				src := c.l.find(c.l.credentials, c.address(), to)
				return src != nil && src.Proven()
			})

	}
}

// want waits for a datagram from an address.
func (c *localClient) want(from netip.Addr) []byte {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, got, err := c.conn.ReadFromUDPAddrPort(buf)
	if err != nil || got.Addr().Unmap() != from {
		c.t.Fatalf("it comes from %v, not %s; %v", got, from, err)
	}
	return buf[:n]
}

func TestSendsFromWhereItWasAsked(t *testing.T) {
	for name, options := range map[string]mediaport.Options{"gso": {}, "sendmmsg": {NoGSO: true}, "shards": {Shards: 2}} {
		for _, address := range []string{":0", "0.0.0.0:0"} {
			t.Run(name+" "+address, func(t *testing.T) {
				s, l, c := localStage(t, address, options)
				send := func(from netip.Addr) {
					t.Helper()
					b := s.NewBatch(0, func(n int) { t.Errorf("%d lost", n) })
					for _, size := range []int{1200, 1200, 700, 100} {
						b.Room()
						b.Add(size, l.selected.Load().path)
					}
					b.Flush()
					l.transmit([]byte{1}, l.selected.Load().path)
					for range 5 {
						c.want(from)
					}
				}
				c.ask(locals[0])
				send(locals[0])
				c.ask(locals[1]) // only tried
				send(locals[0])
				l.spoke.Store(0)
				c.ask(locals[1], setAttribute(useCandidate))
				send(locals[1])
			})
		}
	}
}
