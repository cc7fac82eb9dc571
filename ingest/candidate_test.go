package ingest

import "testing"

func FuzzCandidate(f *testing.F) {
	for _, s := range []string{
		"1 1 udp 2130706431 127.0.0.1 41538 typ host", "candidate:1 1 UDP 1 fd00::2 5 typ srflx raddr 0.0.0.0 rport 0", "1 1 tcp 1 127.0.0.1 9 typ host tcptype active",
		"1 2 udp 1 127.0.0.1 9 typ host", "1 1 udp 1 a.local 9 typ host", "1 1 udp 1 0.0.0.0 9 typ host", " 1 udp 1 127.0.0.1 9 typ relay raddr", "1 1 udp 1 fe80::1%eth0 9 typ prflx",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean, ok := usableCandidate(s)
		if !ok {
			return
		}
		if again, ok := usableCandidate(clean); !ok || again != clean {
			t.Errorf("%q gives %q gives %q, %v", s, clean, again, ok)
		}
	})
}

func TestCandidates(t *testing.T) {
	in := []string{
		"1 1 udp 2130706431 192.0.2.9 41538 typ host generation 0 ufrag abcd network-id 1", "1 2 udp 1 192.0.2.9 41538 typ host",
		"1 1 tcp 1 192.0.2.9 9 typ host tcptype active", "1 1 udp 1 a-b-c.local 9 typ host", "1 1 udp 1 192.0.2.9 0 typ host", "1 1 udp 1 224.0.0.1 9 typ host",
		"1 1 udp 1 :: 9 typ host", "junk", "", "1 1 UDP 7 2001:db8::9 41538 typ srflx raddr 10.0.0.1 rport 5",
	}
	got := usableCandidates(in, 10)
	if len(got) != 2 || got[0] != "1 1 udp 2130706431 192.0.2.9 41538 typ host" {
		t.Errorf("got %q", got)
	}
	if n := len(usableCandidates(in, 1)); n != 1 {
		t.Errorf("%d where there is room for 1", n)
	}
}
