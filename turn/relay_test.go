package turn

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"siaran/internal/testutil"

	"github.com/pion/stun"
)

func TestRelay(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			s := open(t)
			conn := s.allocated(transport, "a")
			for i := range 3 { // the first by indications, later ones by the channel that the client binds
				if !echoes(t, conn, media, strings.Repeat("x", 1000)+fmt.Sprint(i)) {
					t.Fatalf("nothing comes back: %+v", s.Stats())
				}
			}
			if !echoes(t, conn, media6, "six") {
				t.Errorf("nothing comes back over IPv6: %+v", s.Stats())
			}
			if got := conn.LocalAddr().(*net.UDPAddr); !got.IP.Equal(media.Addr().AsSlice()) || got.Port < firstPort {
				t.Errorf("relayed address %s", got)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			seen := map[string]bool{}
			for _, d := range s.got {
				if !virtual.Contains(d.from.Addr()) {
					t.Errorf("comes from %s", d.from)
				}
				seen[d.from.String()] = true
			}
			if len(seen) != 2 { // one for each of our addresses
				t.Errorf("comes from %v", seen)
			}
		})
	}
}

func TestIndicationsAndChannels(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s := open(t)
			user, password := s.Credential("a", time.Hour)
			r := s.raw(transport, user, password)
			r.allocate()
			r.sendTo(media, "without a permission")
			if c := r.permit(media); c != 0 {
				t.Fatalf("permission: %d", c)
			}
			for size := 1; size < 9; size++ { // all paddings
				text := strings.Repeat("d", size)
				r.sendTo(media, text)
				if from, data := r.next(); from != media.String() || data != text {
					t.Fatalf("%q from %q", data, from)
				}
			}
			r.write(appendChannelData(nil, 0x4001, []byte("without a channel"), true))
			if c := r.bind(0x4001, media); c != 0 {
				t.Fatalf("channel: %d", c)
			}
			for size := 1; size < 9; size++ {
				text := strings.Repeat("c", size)
				r.write(appendChannelData(nil, 0x4001, []byte(text), true))
				if from, data := r.next(); from != "0x4001" || data != text {
					t.Fatalf("%q from %q", data, from)
				}
			}
			if c := r.bind(0x4002, media); c != stun.CodeBadRequest {
				t.Errorf("a second channel to one peer: %d", c)
			}
			if c := r.bind(0x4001, media6); c != stun.CodeBadRequest {
				t.Errorf("a channel to a second peer: %d", c)
			}
			if st := s.Stats(); st.Drops.Permission != 2 || st.Up.Datagrams != 16 || st.Down.Datagrams != 16 {
				t.Errorf("%+v", st)
			}
			if m := r.ask(stun.MethodRefresh, attribute(stun.AttrLifetime, 0, 0, 0, 0)); code(m) != 0 {
				t.Errorf("refresh to 0: %d", code(m))
			}
			if st := s.Stats(); st.Allocations != 0 {
				t.Errorf("%+v", st)
			}
			r.allocate() // again, from the same place
			if c := r.bind(0x4002, media); c != 0 {
				t.Fatalf("channel: %d", c)
			}
			r.write(appendChannelData(nil, 0x4002, []byte("again"), true))
			if from, data := r.next(); from != "0x4002" || data != "again" {
				t.Fatalf("%q from %q", data, from)
			}
		})
	}
}

// TestPermissionsAndChannelsEnd after five and ten minutes, and can be had again.
func TestPermissionsAndChannelsEnd(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.Unused = time.Hour })
	user, password := s.Credential("a", time.Hour)
	r := s.raw("udp", user, password)
	r.allocate()
	arrives := func(text string, want bool, send func()) {
		t.Helper()
		before := s.Stats()
		send()
		testutil.Eventually(t, text+" is seen", func() bool {
			st := s.Stats()
			return st.Drops != before.Drops || st.Down != before.Down
		})
		if !want {
			if s.Stats().Drops.Permission != before.Drops.Permission+1 {
				t.Errorf("%s got through: %+v", text, s.Stats())
			}
		} else if _, data := r.next(); data != text {
			t.Errorf("%q instead of %q", data, text)
		}
	}
	indication := func() { r.sendTo(media, "indication") }
	channel := func() { r.write(appendChannelData(nil, 0x4000, []byte("channel"), false)) }
	if c := r.permit(media); c != 0 {
		t.Fatal(c)
	}
	s.pass(4 * time.Minute)
	arrives("indication", true, indication)
	if c := r.bind(0x4000, media); c != 0 { // which prolongs the permission too
		t.Fatal(c)
	}
	s.pass(4 * time.Minute)
	arrives("indication", true, indication)
	s.pass(61 * time.Second)
	arrives("indication", false, indication)
	arrives("channel", true, channel)
	s.pass(5 * time.Minute)
	arrives("channel", false, channel)
	if c := r.bind(0x4001, media); c != 0 {
		t.Errorf("another channel after the first has ended: %d", c)
	}
	if c := r.bind(0x4000, media6); c != 0 {
		t.Errorf("the channel's number for another peer: %d", c)
	}
	arrives("indication", true, indication)
}

// TestOpenIsWhole: when one of the ports cannot be had, the others are free again.
func TestOpenIsWhole(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	cfg := Config{
		UDP: busy.Addr().String(), TCP: busy.Addr().String(), Virtual: virtual, Secret: testSecret,
		Media: func() []netip.AddrPort { return nil }, Deliver: func([]byte, netip.AddrPort) {},
	}
	if s, err := Open(cfg); err == nil {
		s.Close()
		t.Fatal("it opens")
	} else if !strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
	conn, err := net.ListenPacket("udp", cfg.UDP)
	if err != nil {
		t.Fatalf("the UDP port is still taken: %v", err)
	}
	conn.Close()
}
