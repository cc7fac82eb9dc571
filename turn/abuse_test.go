package turn

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun"
)

// forbidden are addresses that a relay must never send to, with the forms that hide an IPv4 address in an IPv6 one.
var forbidden = map[string][]string{
	"loopback":        {"127.0.0.1", "127.0.0.2", "127.255.255.254", "::1"},
	"unspecified":     {"0.0.0.0", "0.1.2.3", "::"},
	"private":         {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"},
	"link-local":      {"169.254.0.1", "fe80::1", "febf::1"},
	"metadata":        {"169.254.169.254", "fd00:ec2::254"},
	"CGNAT":           {"100.64.0.1", "100.127.255.254"},
	"multicast":       {"224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"},
	"broadcast":       {"255.255.255.255"},
	"reserved":        {"240.0.0.1", "192.0.0.8", "198.18.0.1"},
	"ULA":             {"fc00::1", "fdff::1"},
	"strangers":       {"8.8.8.8", "192.0.2.1", "203.0.113.2", "2001:db8::2", "2606:4700::1111"},
	"mapped":          {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:203.0.113.1"},
	"compatible":      {"::127.0.0.1", "::203.0.113.1"},
	"translated":      {"::ffff:0:127.0.0.1"},
	"NAT64":           {"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::127.0.0.1", "64:ff9b::203.0.113.1"},
	"6to4":            {"2002:7f00:1::", "2002:a00:1::1", "2002:cb00:7101::1"},
	"Teredo":          {"2001:0:7f00:1::1"},
	"ISATAP":          {"fe80::5efe:127.0.0.1"},
	"our own block":   {"100::1", "100::ffff:ffff:ffff:ffff"},
	"the relay's own": {"203.0.113.0"},
}

// exactPeer is XOR-PEER-ADDRESS in just the family that the address is written in: stun's own setter unwraps.
type exactPeer struct{ netip.AddrPort }

func (p exactPeer) AddTo(m *stun.Message) error {
	ip, mask := p.Addr().AsSlice(), make([]byte, 16)
	binary.BigEndian.PutUint32(mask, 0x2112a442)
	copy(mask[4:], m.TransactionID[:])
	family := byte(familyIPv4)
	if len(ip) == 16 {
		family = familyIPv6
	}
	v := binary.BigEndian.AppendUint16([]byte{0, family}, p.Port()^0x2112)
	for i, b := range ip {
		v = append(v, b^mask[i])
	}
	m.Add(stun.AttrXORPeerAddress, v)
	return nil
}

// sniffers count what arrives at sockets all over this machine.
func sniffers(t *testing.T) (addresses []netip.AddrPort, caught *atomic.Int64) {
	t.Helper()
	caught = new(atomic.Int64)
	var reading sync.WaitGroup
	var conns []net.PacketConn
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.77", "127.1.2.3", "0.0.0.0", "::1", "::",
	} {
		conn, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("no sniffer on %s: %v", host, err)
			continue
		}
		addresses = append(addresses, conn.LocalAddr().(*net.UDPAddr).AddrPort())
		reading.Go(func() {
			for b := make([]byte, maxDatagram); ; {
				if _, _, err := conn.ReadFrom(b); err != nil {
					return
				}
				caught.Add(1)
			}
		})
		conns = append(conns, conn)
	}
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
		reading.Wait()
	})
	return addresses, caught
}

func TestNothingButOurMediaIsReached(t *testing.T) {
	sockets, caught := sniffers(t)
	for _, transport := range []string{"udp", "tcp", "tls"} {
		for _, ours := range []netip.AddrPort{
			media, netip.MustParseAddrPort("127.0.0.1:8189"), netip.MustParseAddrPort("[::1]:8189"),
		} {
			t.Run(transport+" "+ours.String(), func(t *testing.T) {
				s := open(t, func(c *Config) {
					c.Media = func() []netip.AddrPort { return []netip.AddrPort{ours} }
					c.Limits.Rate = 1 << 30 // so many requests are not what a client makes
				})
				user, password := s.Credential("a", time.Hour)
				r := s.raw(transport, user, password)
				r.allocate()
				tried, channel := 0, uint16(firstChannel)
				try := func(to netip.AddrPort) {
					t.Helper()
					if to == ours {
						return
					}
					tried++
					channel++
					sameIP := to.Addr() == ours.Addr()
					if c := code(r.ask(stun.MethodCreatePermission, exactPeer{to})); c != stun.CodeForbidden && !sameIP {
						t.Errorf("permission for %s: %d", to, c)
					}
					bound := r.ask(stun.MethodChannelBind, channelNumber(channel), exactPeer{to})
					if c := code(bound); c != stun.CodeForbidden && !sameIP {
						t.Errorf("channel to %s: %d", to, c)
					}
					r.write(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
						exactPeer{to}, attribute(stun.AttrData, []byte("stray")...)).Raw)
					r.write(appendChannelData(nil, channel, []byte("stray"), true))
				}
				for _, list := range forbidden {
					for _, ip := range list {
						for _, port := range []uint16{1, 53, 80, ours.Port(), 65535} {
							try(netip.AddrPortFrom(netip.MustParseAddr(ip), port))
						}
					}
				}
				for _, a := range sockets {
					try(a)
					try(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
					try(netip.AddrPortFrom(ours.Addr(), a.Port()))
					try(netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), a.Port()))
				}
				udp, tcp, _ := s.Addresses()
				for _, port := range []uint16{0, 22, 53, 8080, udp.Port(), tcp.Port()} { // other ports of our own address
					try(netip.AddrPortFrom(ours.Addr(), port))
				}
				if c := r.bind(lastChannel, ours); c != 0 {
					t.Fatalf("our own media: %d", c)
				}
				r.write(appendChannelData(nil, lastChannel, []byte("ours"), true))
				if from, data := r.next(); from != fmt.Sprintf("%#x", lastChannel) || data != "ours" {
					t.Errorf("%q from %q", data, from)
				}
				s.mu.Lock()
				for _, d := range s.got {
					if d.data != "ours" {
						t.Errorf("%q was delivered", d.data)
					}
				}
				s.mu.Unlock()
				if st := s.Stats(); st.Up.Datagrams != 1 {
					t.Errorf("%d datagrams relayed", st.Up.Datagrams)
				} else {
					t.Logf(
						"%d addresses tried by 4 ways: %d requests refused, %d datagrams dropped, 0 delivered",
						tried, st.Refused.Permission, st.Drops.Permission+st.Drops.Foreign+st.Drops.Junk)
				}
			})
		}
	}
	if n := caught.Load(); n != 0 {
		t.Errorf("%d packets were delivered to addresses that are not our media's", n)
	}
}

// One address that is not ours among several: none is permitted.
func TestPermissionsAreAllOrNone(t *testing.T) {
	s := open(t)
	user, password := s.Credential("a", time.Hour)
	r := s.raw("udp", user, password)
	r.allocate()
	stranger := netip.MustParseAddrPort("192.0.2.1:1")
	for name, test := range map[string]struct {
		peers []stun.Setter
		want  stun.ErrorCode
	}{
		"a stranger last":  {[]stun.Setter{peerAddress{media}, peerAddress{stranger}}, stun.CodeForbidden},
		"a stranger first": {[]stun.Setter{peerAddress{stranger}, peerAddress{media}}, stun.CodeForbidden},
		"none":             {nil, stun.CodeBadRequest},
		"of no family":     {[]stun.Setter{attribute(stun.AttrXORPeerAddress, make([]byte, 8)...)}, stun.CodeBadRequest},
	} {
		if c := code(r.ask(stun.MethodCreatePermission, test.peers...)); c != test.want {
			t.Errorf("%s: %d, want %d", name, c, test.want)
		}
		if a := s.Server.live()[0]; a.permission(media.Addr(), s.now()) != nil {
			t.Errorf("%s: there is a permission", name)
		}
	}
	if c := code(r.ask(stun.MethodCreatePermission, peerAddress{media}, peerAddress{media6}, peerAddress{media})); c != 0 {
		t.Errorf("ours: %d", c)
	}
}

// cutAddresses are messages that end with an address of no length, in all sizes: stun panics at those that fill their
// memory.
func cutAddresses() [][]byte {
	var list [][]byte
	for _, kind := range []stun.MessageType{
		stun.NewType(stun.MethodSend, stun.ClassIndication), permissionRequest, channelRequest, stun.BindingRequest,
	} {
		for filler := range 40 {
			setters := []stun.Setter{stun.TransactionID, kind}
			for range filler {
				setters = append(setters, attribute(stun.AttrSoftware))
			}
			list = append(list, stun.MustBuild(append(setters, attribute(stun.AttrXORPeerAddress))...).Raw)
		}
	}
	return list
}

func TestCutAddresses(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		s := open(t, func(c *Config) { c.Limits.Rate = 1 << 30 })
		stranger := s.raw(transport, "", "")
		for _, b := range cutAddresses() {
			stranger.write(b)
		}
		user, password := s.Credential("a", time.Hour)
		r := s.raw(transport, user, password)
		r.allocate()
		// Signed, so that pion reads them.
		for _, method := range []stun.Method{stun.MethodCreatePermission, stun.MethodChannelBind} {
			for filler := range 16 {
				setters := []stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest), channelNumber(firstChannel)}
				for range filler {
					setters = append(setters, attribute(stun.AttrSoftware))
				}
				setters = append(setters, stun.NewUsername(r.user), r.nonce, r.realm,
					stun.NewLongTermIntegrity(r.user, r.realm.String(), r.password))
				r.write(stun.MustBuild(append(setters, attribute(stun.AttrXORPeerAddress))...).Raw)
			}
		}
		if c := r.bind(firstChannel+1, media); c != 0 {
			t.Errorf("%s: channel: %d", transport, c)
		}
	}
}

// Frames of a channel outside the range would not be ChannelData, and could look like STUN.
func TestChannelNumbers(t *testing.T) {
	s := open(t)
	user, password := s.Credential("a", time.Hour)
	r := s.raw("tcp", user, password)
	r.allocate()
	for _, number := range []uint16{0, 2, firstChannel - 1, lastChannel + 1, 0x7fff, 0xffff} {
		if c := r.bind(number, media); c != stun.CodeBadRequest {
			t.Errorf("%#x: %d", number, c)
		}
	}
	for _, number := range []uint16{firstChannel, lastChannel} {
		peer := media
		if number == lastChannel {
			peer = media6
		}
		if c := r.bind(number, peer); c != 0 {
			t.Errorf("%#x: %d", number, c)
		}
		r.write(appendChannelData(nil, number, []byte("through"), true))
		if from, data := r.next(); from != fmt.Sprintf("%#x", number) || data != "through" {
			t.Errorf("%#x: %q from %q", number, data, from)
		}
	}
}

// TestNothingBehindTheIntegrityCounts has a stranger send a captured request again, from the client's address and with
// an attribute behind those that its integrity covers: browsers refresh without LIFETIME, and one of 0 ends the
// allocation.
func TestNothingBehindTheIntegrityCounts(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s := open(t)
			user, password := s.Credential("a", time.Hour)
			r := s.raw(transport, user, password)
			r.allocate()
			captured := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest),
				stun.NewUsername(user), r.nonce, r.realm, stun.NewLongTermIntegrity(user, r.realm.String(), password))
			captured.Add(stun.AttrLifetime, make([]byte, 4))
			if err := stun.Fingerprint.AddTo(captured); err != nil {
				t.Fatal(err)
			}
			answer := r.exchange(captured)
			if code(answer) != 0 {
				t.Fatalf("refused: %d", code(answer))
			}
			if lifetime, err := answer.Get(stun.AttrLifetime); err != nil || binary.BigEndian.Uint32(lifetime) == 0 {
				t.Errorf("the stranger has ended the allocation: %v, %v", lifetime, err)
			}
			if n := s.Stats().Allocations; n != 1 {
				t.Errorf("%d allocations are left", n)
			}
		})
	}
}

func TestUnusualRequests(t *testing.T) {
	s := open(t)
	user, password := s.Credential("a", time.Hour)
	for name, test := range map[string]struct {
		setters []stun.Setter
		want    stun.ErrorCode
	}{
		"over TCP (RFC 6062)": {[]stun.Setter{attribute(stun.AttrRequestedTransport, 6, 0, 0, 0)}, 442},
		"over SCTP":           {[]stun.Setter{attribute(stun.AttrRequestedTransport, 132, 0, 0, 0)}, 442},
		"over nothing":        {nil, 400},
		"DONT-FRAGMENT":       {[]stun.Setter{transportUDP, attribute(stun.AttrDontFragment)}, 420},
		"EVEN-PORT":           {[]stun.Setter{transportUDP, attribute(stun.AttrEvenPort, 0x80)}, 508},
		"RESERVATION-TOKEN":   {[]stun.Setter{transportUDP, attribute(stun.AttrReservationToken, make([]byte, 8)...)}, 508},
		"both": {[]stun.Setter{
			transportUDP, attribute(stun.AttrReservationToken, make([]byte, 8)...), attribute(stun.AttrEvenPort, 0),
		}, 400},
		"IPv4": {[]stun.Setter{
			transportUDP, attribute(stun.AttrRequestedAddressFamily, familyIPv4, 0, 0, 0),
		}, 0},
		"IPv6": {[]stun.Setter{
			transportUDP, attribute(stun.AttrRequestedAddressFamily, familyIPv6, 0, 0, 0),
		}, 0},
		"another family": {[]stun.Setter{transportUDP, attribute(stun.AttrRequestedAddressFamily, 9, 0, 0, 0)}, 440},
		"a whole hour":   {[]stun.Setter{transportUDP, attribute(stun.AttrLifetime, 0, 0, 14, 16)}, 0},
		"for ever":       {[]stun.Setter{transportUDP, attribute(stun.AttrLifetime, 255, 255, 255, 255)}, 0},
		"no time at all": {[]stun.Setter{transportUDP, attribute(stun.AttrLifetime, 0, 0, 0, 0)}, 508},
	} {
		t.Run(name, func(t *testing.T) {
			m := s.raw("udp", user, password).ask(stun.MethodAllocate, test.setters...)
			if c := code(m); c != test.want {
				t.Fatalf("%d, want %d", c, test.want)
			}
			if test.want != 0 {
				return
			}
			var relayed stun.XORMappedAddress
			err := relayed.GetFromAs(m, stun.AttrXORRelayedAddress)
			if err != nil || (relayed.IP.To4() == nil) != (name == "IPv6") {
				t.Errorf("relayed address %s: %v", relayed, err)
			}
			lifetime, err := m.Get(stun.AttrLifetime)
			if err != nil || binary.BigEndian.Uint32(lifetime) > 3600 {
				t.Errorf("lifetime %v: %v", lifetime, err)
			}
		})
	}
}

func TestAddressFamilies(t *testing.T) {
	loopback4, loopback6 := netip.MustParseAddrPort("127.0.0.1:8189"), netip.MustParseAddrPort("[::1]:8189")
	for name, test := range map[string]struct {
		media  []netip.AddrPort
		family byte // asked for
		want   netip.Addr
		code   stun.ErrorCode
	}{
		"IPv4 first":             {[]netip.AddrPort{media, media6}, 0, media.Addr(), 0},
		"IPv4 later":             {[]netip.AddrPort{media6, media}, 0, media.Addr(), 0},
		"IPv4 is loopback alone": {[]netip.AddrPort{media6, loopback4}, 0, media6.Addr(), 0},
		"IPv6 alone":             {[]netip.AddrPort{media6}, 0, media6.Addr(), 0},
		"loopback":               {[]netip.AddrPort{loopback4, loopback6}, 0, loopback4.Addr(), 0},
		"no IPv4":                {[]netip.AddrPort{media6}, familyIPv4, netip.Addr{}, 440},
		"no IPv6":                {[]netip.AddrPort{media}, familyIPv6, netip.Addr{}, 440},
		"nothing":                {nil, 0, netip.Addr{}, 508},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(c *Config) { c.Media = func() []netip.AddrPort { return test.media } })
			user, password := s.Credential("a", time.Hour)
			setters := []stun.Setter{transportUDP}
			if test.family != 0 {
				setters = append(setters, attribute(stun.AttrRequestedAddressFamily, test.family, 0, 0, 0))
			}
			r := s.raw("udp", user, password)
			m := r.ask(stun.MethodAllocate, setters...)
			if c := code(m); c != test.code {
				t.Fatalf("%d, want %d", c, test.code)
			}
			if test.code != 0 {
				return
			}
			var relayed stun.XORMappedAddress
			if err := relayed.GetFromAs(m, stun.AttrXORRelayedAddress); err != nil || !relayed.IP.Equal(test.want.AsSlice()) {
				t.Errorf("relayed address %s, want %s: %v", relayed, test.want, err)
			}
			if c := r.bind(0x4000, test.media[0]); c != 0 {
				t.Errorf("channel: %d", c)
			}
		})
	}
}

func TestOldAddressesStayPermitted(t *testing.T) {
	var moved atomic.Bool
	s := open(t, func(c *Config) {
		c.Media = func() []netip.AddrPort {
			if moved.Load() {
				return []netip.AddrPort{media6}
			}
			return []netip.AddrPort{media}
		}
	})
	user, password := s.Credential("a", time.Hour)
	r := s.raw("udp", user, password)
	r.allocate()
	if c := r.permit(media); c != 0 {
		t.Fatal(c)
	}
	if c := r.bind(0x4000, media); c != 0 {
		t.Fatal(c)
	}
	moved.Store(true)
	if a, b := r.permit(media), r.bind(0x4000, media); a != 0 || b != 0 {
		t.Errorf("%d %d: a client loses its way when the server's addresses change", a, b)
	}
	r.write(appendChannelData(nil, 0x4000, []byte("still"), true))
	if _, data := r.next(); data != "still" {
		t.Error(data)
	}
	other := s.raw("udp", user, password)
	other.allocate()
	if c := other.permit(media); c != stun.CodeForbidden {
		t.Errorf("a new client: %d", c)
	}
}

func TestNeverWithoutConfiguration(t *testing.T) {
	full := Config{
		Media: func() []netip.AddrPort { return nil }, Deliver: func([]byte, netip.AddrPort) {},
		Virtual: virtual, Secret: testSecret, UDP: "127.0.0.1:0",
	}
	for name, change := range map[string]func(*Config){
		"media":   func(c *Config) { c.Media = nil },
		"deliver": func(c *Config) { c.Deliver = nil },
		"secret":  func(c *Config) { c.Secret = nil },
		"virtual": func(c *Config) { c.Virtual = netip.Prefix{} },
		"TLS":     func(c *Config) { c.TLS = "127.0.0.1:0" },
		"address": func(c *Config) { c.UDP = "3478" },
	} {
		c := full
		change(&c)
		if s, err := Open(c); err == nil {
			t.Errorf("it opens without %s", name)
			s.Close()
		}
	}
	if s, err := Open(full); err != nil {
		t.Error(err)
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRequestsAsAllocationsEnd lets clients ask for permissions while the relay ends their allocations. pion's own
// would end the process.
func TestRequestsAsAllocationsEnd(t *testing.T) {
	var addresses []netip.AddrPort
	for i := range maxPeers {
		addresses = append(addresses, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 8189))
	}
	s := open(t, func(c *Config) {
		c.Media = func() []netip.AddrPort { return addresses }
		c.Limits.RequestBurst = 10_000
	})
	user, password := s.Credential("a", time.Hour)
	for i := range 300 {
		r := s.raw("udp", user, password)
		defer r.conn.Close() // at the end, so that no address comes twice
		r.allocate()
		var request []stun.Setter
		if i%2 == 0 {
			request = append(request, permissionRequest)
			for _, a := range addresses {
				request = append(request, peerAddress{a})
			}
		} else {
			request = append(request, channelRequest, channelNumber(firstChannel), peerAddress{addresses[0]})
		}
		request = append(request, stun.NewUsername(r.user), r.nonce, r.realm,
			stun.NewLongTermIntegrity(r.user, r.realm.String(), r.password))
		a := s.Server.live()[0]
		r.write(stun.MustBuild(append([]stun.Setter{stun.TransactionID}, request...)...).Raw)
		for end := time.Now().Add(time.Duration(i) * time.Microsecond); time.Now().Before(end); { // another moment each time
		}
		a.close()
	}
}
