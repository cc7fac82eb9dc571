package server

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"siaran/internal/testca"
)

func TestRelayConfig(t *testing.T) {
	none, own, secure := "", "127.0.0.1:4000", "127.0.0.1:4001"
	for name, test := range map[string]struct {
		change      func(*Config)
		turn, turns string
		wrong       string
	}{
		"by default":          {func(c *Config) { c.UDP = ":8189" }, ":3478", "", ""},
		"where UDP is":        {func(c *Config) { c.UDP = "192.0.2.1:8189" }, "192.0.2.1:3478", "", ""},
		"random where UDP is": {func(c *Config) { c.UDP = "127.0.0.1:0" }, "127.0.0.1:0", "", ""},
		"with HTTPS": {func(c *Config) { c.UDP = ":8189"; c.ACME = []string{"a.example.org"} }, ":3478", ":5349",
			""},
		"off": {func(c *Config) { c.TURN = &none; c.ACME = []string{"a.example.org"} }, "", "", ""},
		"only TLS": {func(c *Config) { c.TURN = &none; c.TURNS = &secure; c.ACME = []string{"a.example.org"} },
			"", secure, ""},
		"chosen":              {func(c *Config) { c.TURN = &own }, own, "", ""},
		"no certificate":      {func(c *Config) { c.TURNS = &secure }, "", "", "--turns needs a certificate"},
		"no address":          {func(c *Config) { bad := "3478"; c.TURN = &bad }, "", "", `--turn "3478"`},
		"a host with a port":  {func(c *Config) { c.TURNHost = "a:1" }, "", "", "--turn-host"},
		"a host that is none": {func(c *Config) { c.TURNHost = "a;b" }, "", "", "--turn-host"},
		"no allocations":      {func(c *Config) { c.TURNAllocations = -1 }, "", "", "--turn-allocations -1"},
		"no room for media":   {func(c *Config) { c.TURNBitrate = 5000 }, "", "", "--turn-bitrate 5000"},
		"no user": {func(c *Config) { c.ICEServer = []string{"turn:a.example.org"} }, "", "",
			"--ice-server-secret"},
		"no password": {func(c *Config) { c.ICEServer = []string{"turn:u@a.example.org"} }, "", "",
			"user:password"},
		"a secret that is told": {func(c *Config) { c.ICEServer = []string{"turn:u:se cret@a.example.org"} }, "", "",
			"spaces"},
		"another scheme": {func(c *Config) { c.ICEServer = []string{"https://a.example.org"} }, "", "", "stun:"},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t.TempDir())
			test.change(&c)
			c, err := c.Checked()
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "se cret") {
					t.Errorf("%v, want %q", err, test.wrong)
				}
				return
			}
			if err != nil || *c.TURN != test.turn || *c.TURNS != test.turns {
				t.Errorf("%q and %q, want %q and %q: %v", *c.TURN, *c.TURNS, test.turn, test.turns, err)
			}
		})
	}
}

func TestExternalICEServers(t *testing.T) {
	for text, want := range map[string]externalServer{
		"stun:stun.example.org":      {url: "stun:stun.example.org"},
		"stun:stun.example.org:3478": {url: "stun:stun.example.org:3478"},
		"turn:u:p@turn.example.org":  {url: "turn:turn.example.org", user: "u", password: "p"},
		"turn:u:p:q@turn.example.org?transport=tcp": {url: "turn:turn.example.org?transport=tcp", user: "u",
			password: "p:q"},
		"turn:u:p@q@turn.example.org:1":              {url: "turn:turn.example.org:1", user: "u", password: "p@q"},
		"turns:turn.example.org:443?transport=tcp":   {url: "turns:turn.example.org:443?transport=tcp", secret: "shared"},
		"turn:[2001:db8::1]:3478?transport=udp":      {url: "turn:[2001:db8::1]:3478?transport=udp", secret: "shared"},
		"stun:u:p@stun.example.org":                  {},
		"stun:stun.example.org?transport=udp":        {},
		"turn:turn.example.org?transport=sctp":       {},
		"turn:turn.example.org/path":                 {},
		"turn:":                                      {},
		"turn:u:p@":                                  {},
		"turn://turn.example.org":                    {},
		"http:turn.example.org":                      {},
		"turn:a b":                                   {},
		"turn:turn.example.org?transport=udp&x=\"; ": {},
	} {
		got, err := parseICEServer(text, "shared")
		if got != want || (err == nil) != (want.url != "") {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func FuzzICEServer(f *testing.F) {
	for _, text := range []string{"stun:a", "turn:u:p@h:1?transport=udp", "turns:[::1]:5349", "turn:@", "turn:::@@::",
		"x"} {
		f.Add(text, "secret")
	}
	f.Fuzz(func(t *testing.T, text, secret string) {
		s, err := parseICEServer(text, secret)
		if err != nil {
			return
		}
		scheme, rest, _ := strings.Cut(s.url, ":")
		u, err := url.Parse("x://" + rest)
		if err != nil || u.Host == "" || strings.ContainsAny(s.url, "\";,<> \r\n") {
			t.Errorf("%q became %q", text, s.url)
		}
		if strings.HasPrefix(scheme, "turn") != (s.user != "" || s.secret != "") {
			t.Errorf("%q: %+v", text, s)
		}
	})
}

func TestHostOfRelay(t *testing.T) {
	v4, v6 := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")
	everywhere := netip.IPv4Unspecified()
	for name, test := range map[string]struct {
		change    func(*Config)
		bound     netip.Addr
		asked     string
		host, tls string
	}{
		"what the client says": {func(*Config) {}, everywhere, "live.example.org", "live.example.org",
			"live.example.org"},
		"nothing is known": {func(*Config) {}, everywhere, "", "127.0.0.1", ""},
		"localhost":        {func(*Config) {}, everywhere, "localhost", "127.0.0.1", "localhost"},
		"one address":      {func(*Config) {}, v4, "live.example.org", "203.0.113.1", "live.example.org"},
		"the base URL": {func(c *Config) { c.BaseURL = "https://live.example.org:8443" }, everywhere,
			"10.0.0.1", "live.example.org", "live.example.org"},
		"a public address": {func(c *Config) {
			c.PublicIP = []netip.Addr{v4}
			c.BaseURL = "https://live.example.org"
		}, everywhere, "x", "203.0.113.1", "live.example.org"},
		"IPv4 of several": {func(c *Config) { c.PublicIP = []netip.Addr{v6, v4} }, everywhere, "x", "203.0.113.1",
			"x"},
		"IPv6 for who came over it": {func(c *Config) { c.PublicIP = []netip.Addr{v4, v6} }, everywhere, "2001:db8::5",
			"2001:db8::1", "2001:db8::5"},
		"IPv6 alone": {func(c *Config) { c.PublicIP = []netip.Addr{v6} }, everywhere, "x", "2001:db8::1", "x"},
		"as it is set": {func(c *Config) { c.TURNHost = "turn.example.org"; c.PublicIP = []netip.Addr{v4} },
			v4, "x", "turn.example.org", "turn.example.org"},
		"a domain of ACME": {func(c *Config) { c.ACME = []string{"a.example.org", "b.example.org"} }, everywhere,
			"b.example.org", "b.example.org", "b.example.org"},
		"the first domain of ACME": {func(c *Config) { c.ACME = []string{"a.example.org", "b.example.org"} }, everywhere,
			"10.0.0.1", "10.0.0.1", "a.example.org"},
	} {
		var s server
		test.change(&s.cfg)
		if host, tls := s.relayHost(test.bound, test.asked), s.certificateHost(test.asked); host != test.host ||
			tls != test.tls {
			t.Errorf("%s: %q and %q", name, host, tls)
		}
	}
}

func TestRelayPortInUse(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	busy := conn.LocalAddr().String()
	c := testConfig(t.TempDir())
	c.TURN = &busy
	if c, err = c.Checked(); err != nil {
		t.Fatal(err)
	}
	s, err := openServer(t.Context(), c, slog.New(slog.DiscardHandler))
	if err == nil {
		s.close()
		t.Fatal("the server starts")
	}
	for _, part := range []string{"--turn", busy, "in use", "another"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

// TestUsualRelayPortInUse: the server starts although another TURN server uses the default ports, and the log says what
// to do.
func TestUsualRelayPortInUse(t *testing.T) {
	for name, test := range map[string]struct {
		network string
		https   bool
		left    []string // how clients are told to reach the relay
	}{
		"UDP":            {"udp", false, []string{"turn tcp"}},
		"TCP":            {"tcp", false, []string{"turn udp"}},
		"TCP with HTTPS": {"tcp", true, []string{"turn udp", "turns tcp"}},
		"both":           {"udp tcp", false, nil},
		"all":            {"udp tcp tls", true, []string{"turns tcp"}}, // on the port of HTTPS
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t.TempDir())
			if test.https {
				cert, key := testca.New(t).Issue(t, time.Now().Add(time.Hour), "127.0.0.1")
				c.TLSCert, c.TLSKey = writeFile(t, "cert.pem", string(cert)), writeFile(t, "key.pem", string(key))
			}
			c, err := c.Checked()
			if err != nil {
				t.Fatal(err)
			}
			if !c.turnDefault || c.turnsDefault != test.https {
				t.Fatalf("%t %t", c.turnDefault, c.turnsDefault)
			}
			c.TURN, c.TURNS = occupy(t, strings.Fields(test.network), c.TURN, c.TURNS)
			var log lockedBuffer
			s, err := openServer(t.Context(), c, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			var left []string
			for _, u := range s.relayURLs("127.0.0.1") {
				scheme, rest, _ := strings.Cut(u, ":")
				_, transport, _ := strings.Cut(rest, "?transport=")
				left = append(left, scheme+" "+transport)
			}
			if !reflect.DeepEqual(left, test.left) {
				t.Errorf("the relay is at %v, want %v", left, test.left)
			}
			text := log.String()
			warnings := strings.Count(text, "another program uses a default port of the relay")
			if warnings != len(strings.Fields(test.network)) || !strings.Contains(text, "--turn=''") {
				t.Error(text)
			}
		})
	}
}

// occupy takes the usual ports of the relay, as another program would: those of --turn for udp and tcp, that of --turns
// for tls.
func occupy(t *testing.T, networks []string, turn, turns *string) (*string, *string) {
	t.Helper()
	take := func(network, address string) (string, error) {
		if network == "udp" {
			conn, err := net.ListenPacket("udp4", address)
			if err != nil {
				return "", err
			}
			t.Cleanup(func() { conn.Close() })
			return conn.LocalAddr().String(), nil
		}
		l, err := net.Listen("tcp4", address)
		if err != nil {
			return "", err
		}
		t.Cleanup(func() { l.Close() })
		return l.Addr().String(), nil
	}
	for range 20 { // a port that is free for UDP may be in use for TCP
		one, other, err := *turn, *turns, error(nil)
		for _, network := range networks {
			if network == "tls" {
				other, err = take(network, other)
			} else {
				one, err = take(network, one)
			}
			if err != nil {
				break
			}
		}
		if err == nil {
			return &one, &other
		}
	}
	t.Fatalf("no free port for %v", networks)
	return nil, nil
}
