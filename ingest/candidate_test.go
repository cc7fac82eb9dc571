package ingest

import (
	"net/netip"
	"testing"
)

func FuzzCandidate(f *testing.F) {
	for _, s := range []string{
		"1 1 udp 2130706431 127.0.0.1 41538 typ host", "candidate:1 1 UDP 1 fd00::2 5 typ srflx raddr 0.0.0.0 rport 0",
		"1 1 tcp 1 127.0.0.1 9 typ host tcptype active",
		"1 2 udp 1 127.0.0.1 9 typ host", "1 1 udp 1 a.local 9 typ host", "1 1 udp 1 0.0.0.0 9 typ host",
		" 1 udp 1 127.0.0.1 9 typ relay raddr", "1 1 udp 1 fe80::1%eth0 9 typ prflx",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean, ok := usableCandidate(s, reachLocal)
		if !ok {
			return
		}
		if again, ok := usableCandidate(clean, reachLocal); !ok || again != clean {
			t.Errorf("%q gives %q gives %q, %v", s, clean, again, ok)
		}
	})
}

func TestCandidates(t *testing.T) {
	in := []string{
		"1 1 udp 2130706431 192.0.2.9 41538 typ host generation 0 ufrag abcd network-id 1",
		"1 2 udp 1 192.0.2.9 41538 typ host",
		"1 1 tcp 1 192.0.2.9 9 typ host tcptype active", "1 1 udp 1 a-b-c.local 9 typ host", "1 1 udp 1 192.0.2.9 0 typ host",
		"1 1 udp 1 224.0.0.1 9 typ host",
		"1 1 udp 1 :: 9 typ host", "junk", "", "1 1 UDP 7 2001:db8::9 41538 typ srflx raddr 10.0.0.1 rport 5",
	}
	got := usableCandidates(in, 10, reachPublic)
	if len(got) != 2 || got[0] != "1 1 udp 2130706431 192.0.2.9 41538 typ host" {
		t.Errorf("got %q", got)
	}
	if n := len(usableCandidates(in, 1, reachPublic)); n != 1 {
		t.Errorf("%d where there is room for 1", n)
	}
}

// TestReach: nobody finds out by candidates what is in the server's own network, and those who are there themselves
// go live as ever.
func TestReach(t *testing.T) {
	addresses := map[string]reach{ // and who may have them checked
		"192.0.2.9": reachPublic, "2001:db8::9": reachPublic, "::ffff:192.0.2.9": reachPublic,
		"10.0.0.9": reachPrivate, "172.16.3.4": reachPrivate, "192.168.1.9": reachPrivate, "100.64.0.9": reachPrivate,
		"fd00::9": reachPrivate, "::ffff:10.0.0.9": reachPrivate, "169.254.7.7": reachPrivate, "fe80::1": reachPrivate,
		"127.0.0.1": reachLocal, "127.9.9.9": reachLocal, "::1": reachLocal, "::ffff:127.0.0.1": reachLocal,
	}
	for address, least := range addresses {
		for _, r := range []reach{reachPublic, reachPrivate, reachLocal} {
			if got := r.mayCheck(netip.MustParseAddr(address)); got != (r >= least) {
				t.Errorf("%s at reach %d: %v", address, r, got)
			}
		}
	}
	for _, address := range []string{
		"169.254.169.254", "::ffff:169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254",
		"0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.251", "::", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::1",
	} {
		if reachLocal.mayCheck(netip.MustParseAddr(address)) {
			t.Errorf("%s may be checked", address)
		}
	}
	for from, want := range map[string]reach{
		"192.0.2.1": reachPublic, "2001:db8::1": reachPublic, "10.1.1.1": reachPrivate, "::ffff:192.168.0.1": reachPrivate,
		"fe80::1": reachPrivate, "127.0.0.1": reachLocal, "::1": reachLocal, "::ffff:127.0.0.1": reachLocal,
	} {
		if got := reachOf(netip.MustParseAddr(from)); got != want {
			t.Errorf("%s has reach %d", from, got)
		}
	}
	if reachOf(netip.Addr{}) != reachLocal {
		t.Error("nobody on this machine can go live")
	}
}
