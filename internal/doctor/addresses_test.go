package doctor

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

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
		said(t, checkAnnounced(addressFacts{announced: ips(t, c.announced), mapped: ips(t, c.mapped),
			loopback: c.loopback}), c.status, c.says)
	}
}

func TestPublicIP(t *testing.T) {
	for _, c := range []struct {
		public, interfaces, mapped string
		asked                      bool
		status                     Status
		says                       string
	}{
		{"", "10.0.0.5", "", false, Skip, "not set"},
		{"203.0.113.7", "203.0.113.7 127.0.0.1", "", false, OK, "of this machine"},
		{"203.0.113.7", "10.0.0.5 127.0.0.1", "", false, OK, "in front of a NAT"},
		{"203.0.113.7", "10.0.0.5", "203.0.113.7", true, OK, "seen from the internet"},
		{"203.0.113.7", "10.0.0.5", "198.51.100.1", true, Fail, "Set --public-ip 198.51.100.1"},
		{"203.0.113.7", "10.0.0.5", "", true, Warn, "no STUN server answered"},
		{"203.0.113.7", "198.51.100.1", "", false, Warn, "so it is not behind NAT"},
		{"2001:db8::7", "10.0.0.5", "", false, Warn, "no other address of that family"},
		{"2001:db8::7", "10.0.0.5 2001:db8::7", "198.51.100.1", true, OK, "of this machine"},
		{"10.9.9.9", "10.0.0.5", "", false, Warn, "private address"},
	} {
		f := addressFacts{public: ips(t, c.public), interfaces: ips(t, c.interfaces), mapped: ips(t, c.mapped),
			asked: c.asked}
		one(t, checkPublic(f), c.status, c.says)
	}
}

// stunServer says that everyone comes from an address, or nothing at all.
func stunServer(t *testing.T, mapped net.IP) string {
	t.Helper()
	if mapped == nil {
		return answering(t)
	}
	return answering(t, &stun.XORMappedAddress{IP: mapped, Port: 4711})
}

// answering answers Binding requests with attributes; without any, it does not answer.
func answering(t *testing.T, attributes ...stun.Setter) string {
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
			if len(attributes) == 0 || !lost || m.Decode() != nil { // the first request gets lost
				continue
			}
			if answer, err := stun.Build(append([]stun.Setter{m, stun.BindingSuccess}, attributes...)...); err == nil {
				conn.WriteTo(answer.Raw, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// TestBrokenAddresses: attributes that are too short or of another family are no answer; stun panics at some of them.
func TestBrokenAddresses(t *testing.T) {
	t.Parallel()
	for _, value := range [][]byte{{}, {0}, {0, 1}, {0, 1, 2, 3}, {0, 1, 2, 3, 4, 5, 6}, {0, 2, 2, 3, 4, 5, 6, 7},
		{0, 3, 2, 3, 4, 5, 6, 7}, make([]byte, 24)} {
		for _, kind := range []stun.AttrType{stun.AttrXORMappedAddress, stun.AttrMappedAddress, stun.AttrXORRelayedAddress,
			stun.AttrXORPeerAddress} {
			m, err := stun.Build(stun.TransactionID, stun.BindingSuccess, stun.RawAttribute{Type: kind, Value: value})
			if err != nil {
				t.Fatal(err)
			}
			if addressesWhole(m) {
				t.Errorf("%s of %x is taken for an address", kind, value)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if ip, err := askSTUN(ctx, "udp", answering(t, stun.RawAttribute{Type: stun.AttrXORMappedAddress})); err == nil {
		t.Errorf("an empty attribute says %s", ip)
	}
}

// TestBrokenRelayAnswers: pion/turn is not shown what it panics at.
func TestBrokenRelayAnswers(t *testing.T) {
	t.Parallel()
	relay, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	success := stun.NewType(stun.MethodAllocate, stun.ClassSuccessResponse)
	broken := stun.MustBuild(stun.TransactionID, success, stun.RawAttribute{Type: stun.AttrXORRelayedAddress})
	good := stun.MustBuild(stun.TransactionID, success, &stun.XORMappedAddress{IP: net.IPv4(203, 0, 113, 7), Port: 4711})
	for _, m := range []*stun.Message{broken, good} {
		if _, err := relay.WriteTo(m.Raw, conn.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 1500)
	if n, _, err := (&relayConn{PacketConn: conn}).ReadFrom(buf); err != nil || !bytes.Equal(buf[:n], good.Raw) {
		t.Errorf("%x, %v", buf[:n], err)
	}
}

func TestAskingSTUN(t *testing.T) {
	t.Parallel()
	good, mute := stunServer(t, net.IPv4(203, 0, 113, 7)), stunServer(t, nil)
	got := mappedAddresses(t.Context(), []string{good, good, mute, "127.0.0.1:1", "nonsense"})
	if len(got) != 1 || got[0] != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("%v", got)
	}
}
