package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pion/stun"
)

func TestTCPAddressSetting(t *testing.T) {
	for name, c := range map[string]struct {
		env, file string
		args      []string
		want      string
	}{
		"default":       {want: ":8189"},
		"that of UDP":   {args: []string{"--udp=:9000"}, want: ":9000"},
		"its own":       {args: []string{"--udp=:9000", "--tcp=:443"}, want: ":443"},
		"none":          {args: []string{"--tcp", ""}, want: ""},
		"none, briefly": {args: []string{"--tcp="}, want: ""},
		"none by file":  {file: "tcp: ''\n", want: ""},
		"file":          {file: "tcp: ':444'\n", want: ":444"},
		"environment":   {env: ":445", want: ":445"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.env != "" {
				t.Setenv("SIARAN_TCP", c.env)
			}
			if c.file != "" {
				c.args = append(c.args, "--config="+writeFile(t, "siaran.yaml", c.file))
			}
			if cfg, err := parse(t, append([]string{"serve"}, c.args...)...).checked(); err != nil || *cfg.TCP != c.want {
				t.Errorf("%q %v", *cfg.TCP, err)
			}
		})
	}
}

func TestAddressSettingsThatMakeNoSense(t *testing.T) {
	for _, args := range [][]string{
		{"--tcp=8189"},
		{"--interface=eth["},
		{"--skip-interface=["},
		{"--public-ip=0.0.0.0"},
		{"--public-ip=fe80::1%eth0"},
		{"--discover-public-ip=stun.example.org"},
		{"--discover-public-ip=turn:turn.example.org:3478"},
		{"--discover-public-ip=stun:"},
		{"--discover-public-ip=stun:stun.example.org:3478", "--public-ip=203.0.113.7"},
	} {
		if _, err := parse(t, append([]string{"serve"}, args...)...).checked(); err == nil || !strings.Contains(err.Error(), args[0][:strings.Index(args[0], "=")]) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestAnnouncedInterfaces(t *testing.T) {
	for args, want := range map[string]string{
		"":                             "eth0 eno1 wlan0 wg0 br-lan br0 tailscale0",
		"--interface=eth*":             "eth0",
		"--interface=docker0":          "docker0",
		"--interface=eth0,wg*":         "eth0 wg0",
		"--skip-interface=wg0,docker*": "eth0 eno1 wlan0 br-lan br0 br-0123456789ab veth12ab virbr0 cni0 tailscale0",
	} {
		cfg, err := parse(t, append([]string{"serve"}, strings.Fields(args)...)...).checked()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields("eth0 eno1 wlan0 wg0 br-lan br0 docker0 br-0123456789ab veth12ab virbr0 cni0 tailscale0") {
			if got, ok := cfg.announces(name), slices.Contains(strings.Fields(want), name); got != ok {
				t.Errorf("%s: %s is announced: %v", args, name, got)
			}
		}
	}
}

func TestPublicHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"live.example.org": true, "Example.ORG.": true, "203.0.113.7": true, "2001:db8::7": true,
		"localhost": false, "server": false, "tv.local": false, "a.internal": false, "nas.home.arpa": false,
		"10.0.0.1": false, "127.0.0.1": false, "::1": false, "fd00::1": false, "100.64.0.1": false, "192.168.1.1": false, "169.254.1.1": false,
	} {
		if got := publicHost(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

// TestPrivateAddressesOfPublicServer: the operator is told what nobody outside could reach.
func TestPrivateAddressesOfPublicServer(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		warns  bool
	}{
		"on this machine":  {func(*Config) {}, false},
		"public host name": {func(c *Config) { c.BaseURL = "https://live.example.org" }, true},
		"known address": {func(c *Config) {
			c.BaseURL, c.PublicIP = "https://live.example.org", []netip.Addr{netip.MustParseAddr("203.0.113.7")}
		}, false},
		"private address": {func(c *Config) {
			c.BaseURL, c.PublicIP = "https://live.example.org", []netip.Addr{netip.MustParseAddr("10.1.1.1")}
		}, true},
		"at home": {func(c *Config) { c.BaseURL = "http://tv.local:8080" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			c.change(&cfg)
			cfg, err := cfg.checked()
			if err != nil {
				t.Fatal(err)
			}
			s, err := openServer(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			f, err := s.facts()
			if err != nil {
				t.Fatal(err)
			}
			var out, log strings.Builder
			f.print(&out)
			f.log(slog.New(slog.NewTextHandler(&log, nil)))
			for _, text := range []string{out.String(), log.String()} {
				if strings.Contains(text, "--public-ip") != c.warns {
					t.Errorf("it says:\n%s", text)
				}
			}
		})
	}
}

// TestPublicAddressesInAnswers: all of --public-ip are announced, for UDP and then for TCP.
func TestPublicAddressesInAnswers(t *testing.T) {
	s := startServer(t, func(c *Config) {
		c.PublicIP = []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}
	})
	offer := readFile(t, "..", "..", "testdata", "offers", "whip-chromium.sdp")
	r := s.request(t, http.MethodPost, s.whip("cats"), s.Admin, "application/sdp", string(offer))
	var got []string
	for line := range strings.Lines(r.body) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "a=candidate:"); found {
			fields := strings.Fields(value)
			got = append(got, fields[2]+" "+fields[4])
		}
	}
	if want := []string{"udp 203.0.113.7", "udp 2001:db8::7", "tcp 203.0.113.7", "tcp 2001:db8::7"}; !slices.Equal(got, want) {
		t.Errorf("%d: announced are %q", r.StatusCode, got)
	}
}

// TestDiscoveredAddress has a STUN server that sees the media port elsewhere, and then none at all.
func TestDiscoveredAddress(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerSTUN(conn, netip.MustParseAddr("203.0.113.9"))
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	s := startServer(t, func(c *Config) { c.Discover = "stun:" + conn.LocalAddr().String() })
	if !strings.HasPrefix(s.media, "203.0.113.9:") {
		t.Errorf("announced is %s", s.media)
	}
	s.stop(t)

	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s = startServer(t, func(c *Config) { c.Discover = "stun:" + silent.LocalAddr().String() })
	if text := s.logs.String(); !strings.Contains(text, "the public address is not known") || !strings.Contains(text, "--public-ip") {
		t.Errorf("the log says:\n%s", text)
	}
}

// answerSTUN tells all who ask where they are, or, given an address, that they are there; until conn is closed.
func answerSTUN(conn *net.UDPConn, lie netip.Addr) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		seen := from.IP
		if lie.IsValid() {
			seen = lie.AsSlice()
		}
		m := &stun.Message{Raw: buf[:n]}
		if m.Decode() != nil {
			continue
		}
		if answer, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: seen, Port: from.Port}); err == nil {
			_, _ = conn.WriteToUDP(answer.Raw, from) // who has asked may be gone
		}
	}
}
