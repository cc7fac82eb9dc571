package doctor

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"testing"

	"siaran/internal/pionlog"

	"github.com/pion/turn/v2"
)

// watchedStream says that there is a stream to watch, which nobody gets.
var watchedStream = map[string]http.HandlerFunc{
	"/api/streams":    text(`{"streams":[{"name":"cats","status":"live","video":{}}]}`),
	"POST /whep/cats": status(404),
}

// told makes a server that tells clients of a relay.
func told(t *testing.T, urls ...string) string {
	t.Helper()
	list := map[string]any{"iceServers": []iceServer{{URLs: urls, Username: "user", Credential: "right"}}}
	body, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	special := map[string]http.HandlerFunc{"/api/ice": text(string(body))}
	for path, handler := range watchedStream {
		special[path] = handler
	}
	return fakeServer(t, false, special).URL
}

// fakeRelay is a TURN server over UDP and TCP at one port with this password.
func fakeRelay(t *testing.T, password string, full bool) string {
	t.Helper()
	l, conn := bothAt(t)
	addresses := &noAddresses{RelayAddressGeneratorStatic: turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127,
		0, 0, 1), Address: "127.0.0.1"}, full: full}
	s, err := turn.NewServer(turn.ServerConfig{
		Realm: "test", LoggerFactory: pionlog.Silent,
		AuthHandler: func(user, realm string, _ net.Addr) ([]byte, bool) {
			return turn.GenerateAuthKey(user, realm, password), true
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: conn, RelayAddressGenerator: addresses}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: l, RelayAddressGenerator: addresses}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// bothAt listens at one port over TCP and UDP. What is free for one of them may be taken for the other.
func bothAt(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := net.ListenPacket("udp", l.Addr().String()); err == nil {
			return l, conn
		}
		l.Close()
	}
	t.Fatal("no port is free over both")
	return nil, nil
}

type noAddresses struct {
	turn.RelayAddressGeneratorStatic
	full bool
}

func (n *noAddresses) AllocatePacketConn(network string, port int) (net.PacketConn, net.Addr, error) {
	if n.full {
		return nil, nil, errors.New("full")
	}
	return n.RelayAddressGeneratorStatic.AllocatePacketConn(network, port)
}

func TestRelayThatRefuses(t *testing.T) {
	wrong, full, good := fakeRelay(t, "wrong", false), fakeRelay(t, "right", true), fakeRelay(t, "right", false)
	for name, c := range map[string]struct {
		url, check, says string
	}{
		"credential over UDP": {"turn:" + wrong + "?transport=udp", "turn-udp", "refuses the credentials (400)"},
		"credential over TCP": {"turn:" + wrong + "?transport=tcp", "turn-tcp", "refuses the credentials (400)"},
		"full":                {"turn:" + full + "?transport=udp", "turn-udp", "(508)"},
		"viewer refused":      {"turn:" + good + "?transport=tcp", "turn-tcp", "refuses a viewer: 404"},
		"closed":              {"turn:" + closed(t) + "?transport=tcp", "turn-tcp", "nothing listens"},
		"no TLS":              {"turns:" + good + "?transport=tcp", "turn-tls", "the TLS handshake fails"},
		"no name":             {"turn:no-such-name.invalid:3478", "turn-udp", "no address"},
	} {
		t.Run(name, func(t *testing.T) {
			one(t, named(look(t, ServerConfig{URL: told(t, c.url)}), c.check), Fail, c.says)
		})
	}
}

// TestRelayThatIsSilent: a port that drops what comes, as behind a firewall.
func TestRelayThatIsSilent(t *testing.T) {
	t.Parallel()
	r := look(t, ServerConfig{URL: told(t, "turn:"+busy(t, "udp")+"?transport=udp")})
	one(t, named(r, "turn-udp"), Fail, "no route over UDP")
}

func TestRelaysAreBounded(t *testing.T) {
	o := &remote{ice: []iceServer{{URLs: []string{"turn:a", "turn:b:1?transport=udp", "stun:c", "http://d", "turn:e",
		"turn:f", "turns:g?transport=tcp", "turn:h?transport=tcp", ""}}}}
	if u, c, s := o.relaysOver(overUDP), o.relaysOver(overTCP), o.relaysOver(overTLS); len(u) != maxRelays ||
		len(c) != 1 || len(s) != 1 || s[0].port != "5349" || u[1].port != "1" {
		t.Errorf("%v %v %v", u, c, s)
	}
}
