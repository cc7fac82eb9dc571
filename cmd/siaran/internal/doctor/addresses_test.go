package doctor

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun"
)

func ips(t *testing.T, list string) (out []netip.Addr) {
	t.Helper()
	for _, s := range strings.Fields(list) {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ip)
	}
	return out
}

func TestAnnouncedAddresses(t *testing.T) {
	for _, c := range []struct {
		announced, mapped string
		loopback          bool
		status            Status
		says              string
	}{
		{"203.0.113.7 127.0.0.1", "", false, OK, "203.0.113.7"},
		{"10.0.0.5 2001:db8::5 127.0.0.1", "", false, OK, "2001:db8::5"},
		{"127.0.0.1", "", true, OK, "this machine only"},
		{"127.0.0.1", "", false, Warn, "--public-ip"},
		{"10.0.0.5 192.168.1.2 127.0.0.1", "", false, Warn, "only private addresses (10.0.0.5, 192.168.1.2)"},
		{"100.64.3.4", "", false, Warn, "only private"},
		{"fd00::1", "", false, Warn, "only private"},
		{"10.0.0.5", "203.0.113.7", false, Warn, "--public-ip 203.0.113.7"},
	} {
		said(t, checkAnnounced(addressFacts{announced: ips(t, c.announced), mapped: ips(t, c.mapped), loopback: c.loopback}), c.status, c.says)
	}
}

func TestPublicIP(t *testing.T) {
	for _, c := range []struct {
		public, interfaces, mapped string
		asked                      bool
		status                     Status
		says                       string
	}{
		{"", "10.0.0.5", "", false, Skip, "not given"},
		{"203.0.113.7", "203.0.113.7 127.0.0.1", "", false, OK, "of this machine"},
		{"203.0.113.7", "10.0.0.5 127.0.0.1", "", false, OK, "behind NAT"},
		{"203.0.113.7", "10.0.0.5", "203.0.113.7", true, OK, "seen from the internet"},
		{"203.0.113.7", "10.0.0.5", "198.51.100.1", true, Fail, "Say --public-ip 198.51.100.1"},
		{"203.0.113.7", "10.0.0.5", "", true, Warn, "no STUN server answered"},
		{"203.0.113.7", "198.51.100.1", "", false, Warn, "so there is no NAT"},
		{"2001:db8::7", "10.0.0.5", "", false, Warn, "no other of that kind"},
		{"2001:db8::7", "10.0.0.5 2001:db8::7", "198.51.100.1", true, OK, "of this machine"},
		{"10.9.9.9", "10.0.0.5", "", false, Warn, "private address"},
	} {
		f := addressFacts{public: ips(t, c.public), interfaces: ips(t, c.interfaces), mapped: ips(t, c.mapped), asked: c.asked}
		one(t, checkPublic(f), c.status, c.says)
	}
}

// stunServer says that everyone comes from an address, or nothing at all.
func stunServer(t *testing.T, mapped net.IP) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for lost := false; ; lost = true {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			m := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
			if mapped == nil || !lost || m.Decode() != nil { // the first request gets lost
				continue
			}
			if answer, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: mapped, Port: 4711}); err == nil {
				conn.WriteTo(answer.Raw, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestAskingSTUN(t *testing.T) {
	t.Parallel()
	good, mute := stunServer(t, net.IPv4(203, 0, 113, 7)), stunServer(t, nil)
	got := mappedAddresses(t.Context(), []string{good, good, mute, "127.0.0.1:1", "nonsense"})
	if len(got) != 1 || got[0] != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("%v", got)
	}
}
