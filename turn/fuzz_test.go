package turn

import (
	"bytes"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun"
)

// silent is a sender that sends nothing.
type silent struct{}

func (silent) replyPath(netip.AddrPort, netip.Addr) replyPath { return silent{} }
func (silent) data([]byte, int, uint16, []byte) (lost int)    { return 0 }
func (silent) answer([]byte)                                  {}
func (silent) ended(bool)                                     {}

// FuzzInterposer gives an interposer whatever a client may send, with and without an allocation.
func FuzzInterposer(f *testing.F) {
	for _, b := range junk() {
		f.Add(b, true)
	}
	for _, b := range cutAddresses() {
		f.Add(b, true)
		f.Add(b, false)
	}
	f.Add(appendChannelData(nil, 0x4000, []byte("data"), false), true)
	f.Add(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		peerAddress{media}, attribute(stun.AttrData, 1, 2, 3)).Raw, true)
	f.Fuzz(func(t *testing.T, b []byte, known bool) {
		if len(b) > maxDatagram {
			return
		}
		s := &Server{
			cfg: Config{
				Media: func() []netip.AddrPort { return []netip.AddrPort{media} }, Limits: Limits{}.filled(), Virtual: virtual,
				Secret: testSecret, Live: func(string) bool { return true }, now: time.Now,
				Deliver: func(b []byte, from netip.AddrPort) {
					if !virtual.Contains(from.Addr()) || from.Port() == 0 {
						t.Errorf("from %s", from)
					}
				},
			},
			newcomers: newLimiter(100, 100),
		}
		client := netip.MustParseAddrPort("198.51.100.1:5000")
		fr := newInterposer(s, silent{})
		if known {
			a := &allocation{
				server: s, interposer: fr, path: silent{}, client: client, user: "a:b",
				virtual: randomAddr(virtual), permissions: make(map[netip.Addr]*permission),
			}
			a.bind(0x4000, media, time.Now().UnixNano())
			fr.allocations[client] = a
		}
		if !fr.take(b, client, netip.Addr{}) {
			return
		}
		// Whatever pion answers, the interposer must survive it.
		for _, class := range []stun.MessageClass{stun.ClassSuccessResponse, stun.ClassErrorResponse} {
			fr.answered(stun.MustBuild(stun.NewTransactionIDSetter(fr.request.message.TransactionID),
				stun.NewType(fr.request.message.Type.Method, class)).Raw)
			fr.authenticate("1:a", realm, nil)
			fr.permits(nil, nil)
			fr.request.refusal = stun.CodeForbidden
		}
		if a := fr.request.allocation; a != nil {
			for _, p := range a.list() {
				if p.address != media && p.channel.Load() == 0 {
					t.Errorf("a peer %s without a request", p.address)
				}
			}
		}
	})
}

// memoryPort is a UDP port without a network.
type memoryPort struct{ answers [][]byte }

func (p *memoryPort) Address() netip.AddrPort { return netip.MustParseAddrPort("203.0.113.1:3478") }

func (p *memoryPort) Sender(netip.AddrPort, netip.Addr) func([]byte, int) int {
	return func(b []byte, _ int) int {
		p.answers = append(p.answers, append([]byte(nil), b...))
		return 0
	}
}

func (p *memoryPort) Close() error { return nil }

// FuzzRequests makes the whole relay, pion with it, answer requests of all kinds: of strangers, and signed ones of
// clients.
func FuzzRequests(f *testing.F) {
	port := &memoryPort{}
	s := open(f, func(c *Config) {
		c.TCP, c.TLS = "", ""
		c.ListenUDP = func(string, Handle) (Port, error) { return port, nil }
		c.Limits = Limits{RequestBurst: 1 << 30, Rate: math.MaxInt}
	})
	client := netip.MustParseAddrPort("198.51.100.1:5000")
	ask := func(b []byte) *stun.Message {
		port.answers = nil
		s.udp.handle(b, client, netip.Addr{})
		if len(port.answers) == 0 {
			return nil
		}
		m := &stun.Message{Raw: port.answers[0]}
		if err := m.Decode(); err != nil {
			f.Fatalf("the answer is no STUN message: %v", err)
		}
		return m
	}
	methods := []stun.Method{
		stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind, stun.MethodBinding,
	}
	user, password := s.Credential("a", time.Hour)
	var nonce stun.Nonce
	if err := nonce.GetFrom(ask(stun.MustBuild(stun.TransactionID, allocateRequest, transportUDP).Raw)); err != nil {
		f.Fatal(err)
	}
	signature := []stun.Setter{
		stun.NewUsername(user), nonce, stun.NewRealm(realm), stun.NewLongTermIntegrity(user, realm, password),
	}
	for i := range methods {
		for _, attributes := range [][]stun.Setter{
			{}, {transportUDP}, {transportUDP, attribute(stun.AttrLifetime, 0, 0, 0, 1)},
			{attribute(stun.AttrLifetime, 0, 0, 0, 0)},
			{peerAddress{media}}, {channelNumber(0x4000), peerAddress{media6}},
			{transportUDP, attribute(stun.AttrEvenPort, 0x80)},
			{transportUDP, attribute(stun.AttrReservationToken, make([]byte, 8)...)},
			{attribute(stun.AttrXORPeerAddress, make([]byte, 20)...)},
			{attribute(stun.AttrMessageIntegrity, 1, 2, 3), peerAddress{media}}, {stun.Fingerprint},
		} {
			request := []stun.Setter{stun.TransactionID, stun.NewType(methods[i], stun.ClassRequest)}
			m := stun.MustBuild(append(request, attributes...)...)
			for _, signed := range []bool{false, true} {
				for _, known := range []bool{false, true} {
					f.Add(uint8(i), m.Raw[stunHeader:], signed, known)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, method uint8, attributes []byte, signed, known bool) {
		// pion may still be busy ending the last client's allocation.
		client = netip.AddrPortFrom(client.Addr().Next(), client.Port())
		allocate := append([]stun.Setter{stun.TransactionID, allocateRequest, transportUDP}, signature...)
		if known && code(ask(stun.MustBuild(allocate...).Raw)) != 0 {
			t.Fatal("no allocation")
		}
		m := stun.MustBuild(stun.TransactionID, stun.NewType(methods[int(method)%len(methods)], stun.ClassRequest))
		m.Raw = append(m.Raw, attributes...)
		m.Length = uint32(len(attributes))
		m.WriteLength()
		if signed {
			for _, part := range signature {
				if err := part.AddTo(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		ask(m.Raw)
		for _, answer := range port.answers {
			if !known && !signed && len(answer) > 5*len(m.Raw) {
				t.Errorf("%d bytes for %d", len(answer), len(m.Raw))
			}
		}
		for _, a := range s.Server.live() {
			for _, p := range a.list() {
				if p.address != media && p.address != media6 {
					t.Errorf("a channel to %s", p.address)
				}
			}
			a.close()
		}
	})
}

// FuzzFrame cuts streams and datagrams into messages.
func FuzzFrame(f *testing.F) {
	for _, b := range junk() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < channelHeader {
			return
		}
		if n := frameSize(b); n != 0 && (n < channelHeader || n > maxDatagram || n%4 != 0) {
			t.Errorf("a message of %d bytes", n)
		}
		number, data, ok := channelData(b)
		if !ok {
			return
		}
		again := appendChannelData(nil, number, data, true)
		if n := frameSize(again); n != len(again) && len(again) <= maxDatagram {
			t.Errorf("%d bytes, said to be %d", len(again), n)
		}
		if _, same, ok := channelData(again); !ok || !bytes.Equal(same, data) {
			t.Errorf("%x became %x", data, same)
		}
		m := &stun.Message{Raw: appendIndication(nil, indication(peerAddress{media}), data)}
		if err := m.Decode(); err != nil {
			t.Fatal(err)
		}
		if same, err := m.Get(stun.AttrData); err != nil || !bytes.Equal(same, data) {
			t.Errorf("%x became %x: %v", data, same, err)
		}
	})
}

// FuzzUser reads user names.
func FuzzUser(f *testing.F) {
	for _, name := range []string{
		"", ":", "1:a", "-1:a", "1", "99999999999999999999:a", "1:a:b", "0x1:a", "1_0:a", "+1:a", " 1:a", "1:",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if expiry, id, ok := parseUser(name); ok && (id == "" || expiry.Unix() <= 0 || len(name) > maxUser) {
			t.Errorf("%q is %s %q", name, expiry, id)
		}
	})
}
