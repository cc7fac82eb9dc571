package mediaport

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"siaran/internal/testutil"
)

// Checks go by their name and packets by their address, whatever the system can do.
func TestSessionsAreReached(t *testing.T) {
	for _, options := range []Options{{}, {Plain: true}, {Shards: 3}, {DSCP: 34, NoGSO: true}} {
		s, err := Open("127.0.0.1:0", options)
		if err != nil {
			t.Fatal(err)
		}
		c, session := newClient(t, s), newSession()
		e := s.NewEndpoint("a", session)
		e.Open()
		check := checkFor(t, "a")
		c.send(t, check)
		d := wait(t, session.checks)
		if d.text != string(check) || d.from != c.address() {
			t.Fatalf("%+v", d)
		}
		e.Claim(d.from).Vouch(time.Now())
		c.send(t, []byte{128, 1, 2, 3})
		if d := wait(t, session.packets); d.text != "\x80\x01\x02\x03" || d.from != c.address() {
			t.Fatalf("%+v", d)
		}
		if err := s.Send([]byte("back"), s.Path(d.from, d.local)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if n, err := c.conn.Read(buf); err != nil || string(buf[:n]) != "back" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Send([]byte("x"), s.Path(d.from, d.local)); err == nil {
			t.Error("a closed socket sends")
		}
	}
}

func TestBusyPort(t *testing.T) {
	for _, options := range []Options{{}, {Plain: true}, {Shards: 2}} {
		s, err := Open(":0", options)
		if err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf(":%d", s.ports[0].local().Port())
		for _, second := range []Options{{}, {Plain: true}, {Shards: 2}} {
			if other, err := Open(address, second); err == nil {
				t.Errorf("%+v on the port of %+v", second, options)
				other.Close()
			} else if !strings.Contains(err.Error(), "is in use") {
				t.Errorf("%+v: %v", second, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"nonsense", "127.0.0.1:99999", "host.invalid:1"} {
		if s, err := Open(bad, Options{}); err == nil {
			t.Errorf("listened on %q", bad)
			s.Close()
		}
	}
}

// Runs of any sizes arrive as the datagrams they were made of, whatever the system can do.
func TestBatchesArriveAsTheyWere(t *testing.T) {
	for name, options := range map[string]Options{"gso": {}, "sendmmsg": {NoGSO: true}, "plain": {Plain: true}} {
		t.Run(name, func(t *testing.T) {
			s, err := Open("127.0.0.1:0", options)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c := newClient(t, s)
			if err := c.conn.SetReadBuffer(4 << 20); err != nil {
				t.Fatal(err)
			}
			to := s.Path(c.address(), netip.Addr{})
			lost := 0
			b := newBatch(s.ports[0], &s.relays, func(n int) { lost += n })
			sizes := []int{1200, 1200, 1200, 700, 1200, 80, 80, 80, 81, 1, 1500, 1500, 1499}
			for range 70 {
				sizes = append(sizes, 1000)
			}
			for i, size := range sizes {
				room := b.Room()
				room = room[:size]
				for j := range room {
					room[j] = byte(i)
				}
				b.Add(size, to)
			}
			b.Flush()
			if lost != 0 {
				t.Errorf("%d lost", lost)
			}
			buf := make([]byte, 70_000)
			for i, size := range sizes {
				if err := c.conn.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
					t.Fatal(err)
				}
				n, err := c.conn.Read(buf)
				if err != nil || n != size || buf[0] != byte(i) || buf[n-1] != byte(i) {
					t.Fatalf("datagram %d: %d bytes of %d, want %d bytes; %v", i, n, buf[0], size, err)
				}
			}
		})
	}
}
