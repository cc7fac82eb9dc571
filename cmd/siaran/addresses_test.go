package main

import (
	"slices"
	"strings"
	"testing"

	"siaran/e2e/harness"
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
				c.args = append(c.args, "--config="+harness.WriteFile(t, "siaran.yaml", c.file))
			}
			if cfg, err := parse(t, append([]string{"serve"}, c.args...)...).Checked(); err != nil || *cfg.TCP != c.want {
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
		flag, _, _ := strings.Cut(args[0], "=")
		_, err := parse(t, append([]string{"serve"}, args...)...).Checked()
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestAnnouncedInterfaces(t *testing.T) {
	all := "eth0 eno1 wlan0 wg0 br-lan br0 docker0 br-0123456789ab veth12ab virbr0 cni0 tailscale0"
	for args, want := range map[string]string{
		"":                             "eth0 eno1 wlan0 wg0 br-lan br0 tailscale0",
		"--interface=eth*":             "eth0",
		"--interface=docker0":          "docker0",
		"--interface=eth0,wg*":         "eth0 wg0",
		"--skip-interface=wg0,docker*": "eth0 eno1 wlan0 br-lan br0 br-0123456789ab veth12ab virbr0 cni0 tailscale0",
	} {
		cfg, err := parse(t, append([]string{"serve"}, strings.Fields(args)...)...).Checked()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(all) {
			if got, ok := cfg.Announces(name), slices.Contains(strings.Fields(want), name); got != ok {
				t.Errorf("%s: %s is announced: %v", args, name, got)
			}
		}
	}
}
