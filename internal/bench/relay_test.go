package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/pion/stun"
)

func TestRelaysInLinks(t *testing.T) {
	link := func(url, username, credential string) string {
		return fmt.Sprintf(`<%s>; rel="ice-server"; username=%q; credential=%q; credential-type="password"`,
			url, username, credential)
	}
	links := []string{
		link("turn:relay.example.org:3478?transport=udp", "170:u", "s+/="),
		link("turn:relay.example.org?transport=tcp", "a", "b"),
		link("turns:[2001:db8::1]:443?transport=tcp", "c", "d"),
	}
	for over, want := range map[Relay]relayServer{
		RelayUDP: {"relay.example.org:3478", "relay.example.org", "170:u", "s+/="},
		RelayTCP: {"relay.example.org:3478", "relay.example.org", "a", "b"},
		RelayTLS: {"[2001:db8::1]:443", "2001:db8::1", "c", "d"},
	} {
		if got, err := relayIn(links, over); err != nil || got != want {
			t.Errorf("%s: %+v %v", over, got, err)
		}
	}
	one := []string{links[0] + ", " + links[1]} // on one line, as a proxy may join them
	if got, err := relayIn(one, RelayTCP); err != nil || got.username != "a" {
		t.Errorf("%+v %v", got, err)
	}
	for _, none := range [][]string{
		nil, {""}, {"<turn:"}, {links[0]}, {`<stun:x>; rel="ice-server"`}, {"<https://x>; rel=next"},
	} {
		if got, err := relayIn(none, RelayTLS); err == nil {
			t.Errorf("%q: %+v", none, got)
		}
	}
}

func TestWorthAChannel(t *testing.T) {
	parse := func(list ...string) (out []netip.AddrPort) {
		for _, s := range list {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return out
	}
	for _, c := range []struct{ from, want []netip.AddrPort }{
		{parse("192.0.2.1:1", "[2001:db8::1]:1", "127.0.0.1:1"), parse("192.0.2.1:1")},
		{parse("[2001:db8::1]:1", "127.0.0.1:1"), parse("[2001:db8::1]:1")},
		{parse("127.0.0.1:1", "[::1]:1"), parse("127.0.0.1:1", "[::1]:1")},
	} {
		if got := worthAChannel(c.from); !slices.Equal(got, c.want) {
			t.Errorf("%v of %v", got, c.from)
		}
	}
}

// sent is a socket that keeps the last datagram sent.
type sent struct {
	nowhere
	last []byte
}

func (s *sent) send(b []byte) { s.last = slices.Clone(b) }

func TestChannels(t *testing.T) {
	one, two := netip.MustParseAddrPort("192.0.2.1:8189"), netip.MustParseAddrPort("192.0.2.2:8189")
	for _, stream := range []bool{false, true} {
		out := &sent{}
		r := newRelayClient(out, stream, relayServer{})
		r.peers = []netip.AddrPort{one, two}
		r.sendTo([]byte("hello"), two)
		want := []byte("\x40\x01\x00\x05hello")
		if stream {
			want = append(want, 0, 0, 0)
		}
		if !bytes.Equal(out.last, want) {
			t.Errorf("%q", out.last)
		}
		out.last = nil
		if r.sendTo([]byte("x"), netip.MustParseAddrPort("192.0.2.3:1")); out.last != nil {
			t.Error("data is sent to an address without a channel")
		}
		if r.fix(netip.MustParseAddrPort("192.0.2.3:1")) == nil || r.fix(two) != nil {
			t.Error("fix accepts an address without a channel, or refuses one with a channel")
		}
		if r.send([]byte("1234")); string(out.last) != "\x40\x01\x00\x041234" {
			t.Errorf("%q", out.last)
		}
		if b, from, ok := r.take(want); !ok || string(b) != "hello" || from != two {
			t.Errorf("%q %s %t", b, from, ok)
		}
	}
}

// TestMessagesOfAStream reads messages from a stream that delivers them in pieces.
func TestMessagesOfAStream(t *testing.T) {
	binding, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewSoftware("odd"))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{
		[]byte("\x40\x00\x00\x05hello\x00\x00\x00"),
		binding.Raw,
		[]byte("\x40\x01\x00\x00"),
		[]byte("\x40\x00\x00\x041234"),
	}
	in := bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(bytes.Join(want, nil))), 256)
	var got [][]byte
	for wholeMessage(in) == nil {
		for message, ok := nextMessage(in); ok; message, ok = nextMessage(in) {
			got = append(got, slices.Clone(message))
		}
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%q", got)
	}
	long := bufio.NewReaderSize(bytes.NewReader(append([]byte("\x40\x00\x01\x00"), make([]byte, 300)...)), 256)
	if wholeMessage(long) == nil {
		t.Error("a message larger than the buffer is accepted")
	}
}

func FuzzRelay(f *testing.F) {
	f.Add([]byte("\x40\x00\x00\x05hello\x00\x00\x00"))
	f.Add([]byte("\x40\x01\xff\xff"))
	f.Add([]byte("\x4f\xff\x00\x00"))
	f.Add([]byte("\x01\x01\x00\x00\x21\x12\xa4\x42aaaaaaaaaaaa"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRelayClient(&sent{}, true, relayServer{})
		r.peers = make([]netip.AddrPort, 2)
		if data, _, ok := r.take(b); ok && len(data) > len(b)-channelHeader {
			t.Errorf("%d bytes of %d", len(data), len(b))
		}
		in := bufio.NewReaderSize(bytes.NewReader(b), 256)
		for wholeMessage(in) == nil {
			message, ok := nextMessage(in)
			if !ok || len(message) == 0 {
				t.Fatal("a complete message cannot be read")
			}
			r.take(message)
		}
	})
}

func FuzzLinks(f *testing.F) {
	f.Add(`<turn:relay.example.org:3478?transport=udp>; rel="ice-server"; username="170:u"; ` +
		`credential="s"; credential-type="password"`)
	f.Add(`<turns:[::1]:1>; a; username=; =; credential="`)
	f.Add("<>, <turn:, >;")
	f.Fuzz(func(t *testing.T, value string) {
		for _, over := range []Relay{RelayUDP, RelayTCP, RelayTLS} {
			_, _ = relayIn([]string{value, value}, over)
		}
	})
}
