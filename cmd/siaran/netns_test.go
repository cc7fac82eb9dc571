package main

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/internal/whip"
)

// TestNetworks has clients and servers in the networks that real ones are in. Documentation addresses
// (RFC 5737, RFC 3849) stand for the internet.
func TestNetworks(t *testing.T) {
	newLab(t) // or all is skipped
	for name, test := range map[string]func(*testing.T, *lab){
		"client behind NAT":     clientBehindNAT,
		"server behind 1:1 NAT": serverBehindNAT,
		"discovered address":    discoveredAddress,
		"IPv6 only":             onlyIPv6,
		"no UDP":                broadcasterWithoutUDP,
		"Chromium without UDP":  chromiumWithoutUDP,
		"lossy":                 lossyLink,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newLab(t))
		})
	}
}

// insideParts run on the machines of a lab.
var insideParts = map[string]func(*testing.T, *testServer){
	"publish and watch": publishAndWatch,
	"publish by TCP":    publishByTCP,
	"Chromium":          publishByChromium,
	"loss":              watchWithLoss,
	"STUN":              serveSTUN,
}

// clientBehindNAT: broadcaster and viewer are at home, behind a router that changes ports and lets nobody in.
func clientBehindNAT(t *testing.T, l *lab) {
	server, router, home := l.host("server"), l.host("router"), l.host("home")
	server.wire("wan", "203.0.113.1/24", router, "wan", "203.0.113.2/24")
	router.wire("lan", "192.168.77.1/24", home, "eth0", "192.168.77.2/24")
	home.ip("route add default via 192.168.77.1")
	router.routes()
	router.firewall(`
		table ip home {
			chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade fully-random; }
			chain in { type filter hook forward priority filter; policy drop; iifname "lan" accept; ct state established accept; }
		}`)
	home.inside("publish and watch", server.serve("--listen=203.0.113.1:8080"))
}

// natted is a machine in a cloud: its public address is known to the network before it and not to itself.
func natted(l *lab) (server, outside *labHost) {
	server, router, outside := l.host("server"), l.host("router"), l.host("outside")
	server.wire("eth0", "10.0.0.2/24", router, "lan", "10.0.0.1/24")
	router.wire("wan", "203.0.113.1/24", outside, "eth0", "203.0.113.2/24")
	server.ip("route add default via 10.0.0.1")
	router.routes()
	router.firewall(`
		table ip cloud {
			chain in { type nat hook prerouting priority dstnat; iifname "wan" ip daddr 203.0.113.1 dnat to 10.0.0.2; }
			chain out { type nat hook postrouting priority srcnat; oifname "wan" ip saddr 10.0.0.2 snat to 203.0.113.1; }
		}`)
	return server, outside
}

func serverBehindNAT(t *testing.T, l *lab) {
	server, outside := natted(l)
	s := server.serve("--public-ip=203.0.113.1", "--base-url=http://203.0.113.1:8080")
	outside.inside("publish and watch", s)
	outside.inside("publish by TCP", s)
}

// discoveredAddress: the server is told its public address by a STUN server, over the same NAT.
func discoveredAddress(t *testing.T, l *lab) {
	server, outside := natted(l)
	outside.start("STUN")
	outside.inside("publish and watch", server.serve("--discover-public-ip=stun:203.0.113.2:3478", "--base-url=http://203.0.113.1:8080"))
}

func onlyIPv6(t *testing.T, l *lab) {
	server, client := l.host("server"), l.host("client")
	server.wire("eth0", "2001:db8:1::1/64", client, "eth0", "2001:db8:1::2/64")
	s := server.serve("--listen=[2001:db8:1::1]:8080")
	client.inside("publish and watch", s)
	client.inside("publish by TCP", s)
}

const dropUDP = `
	table inet office {
		chain in { type filter hook input priority filter; meta l4proto udp iifname != "lo" drop; }
		chain out { type filter hook output priority filter; meta l4proto udp oifname != "lo" drop; }
	}`

// broadcasterWithoutUDP: the firewall drops UDP and says nothing.
func broadcasterWithoutUDP(t *testing.T, l *lab) {
	server, office := l.host("server"), l.host("office")
	server.wire("eth0", "203.0.113.1/24 2001:db8:1::1/64", office, "eth0", "203.0.113.2/24 2001:db8:1::2/64")
	office.firewall(dropUDP)
	office.inside("publish by TCP", server.serve("--listen=203.0.113.1:8080"))
}

func chromiumWithoutUDP(t *testing.T, l *lab) {
	server, office := l.host("server"), l.host("office")
	server.wire("eth0", "203.0.113.1/24", office, "eth0", "203.0.113.2/24")
	office.firewall(dropUDP)
	office.inside("Chromium", server.serve("--listen=203.0.113.1:8080"))
}

// lossyLink loses three of a hundred packets each way.
func lossyLink(t *testing.T, l *lab) {
	server, client := l.host("server"), l.host("client")
	server.wire("eth0", "203.0.113.1/24", client, "eth0", "203.0.113.2/24")
	client.firewall(`
		table inet radio {
			chain in { type filter hook input priority filter; iifname "eth0" meta l4proto udp numgen random mod 100 < 3 drop; }
			chain out { type filter hook output priority filter; oifname "eth0" meta l4proto udp numgen random mod 100 < 3 drop; }
		}`)
	client.inside("loss", server.serve("--listen=203.0.113.1:8080"))
}

func publishAndWatch(t *testing.T, s *testServer) {
	b := s.broadcast(t, cats, s.Admin, 50)
	viewers := []*testViewer{s.watch(t, cats), s.watch(t, cats)}
	n := b.sent() + 75 // three seconds
	for _, v := range viewers {
		v.waitPicture(n)
		if err := v.checkSteady(); err != nil {
			t.Error(err)
		}
	}
	checkWay(t, s, "udp")
}

// checkWay looks by what transport a broadcast comes.
func checkWay(t *testing.T, s *testServer, want string) {
	t.Helper()
	eventually(t, "media over "+want, func() bool {
		var health struct{ Transport string }
		s.do(t, "GET", "/api/streams/cats/health", 200, &health)
		return health.Transport == want
	})
}

func publishByTCP(t *testing.T, s *testServer) {
	b := s.broadcast(t, cats, s.Admin, 50, func(c *whip.Config) {
		c.Setting = func(e *webrtc.SettingEngine) {
			e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
		}
	})
	b.waitSent(25)
	checkWay(t, s, "tcp")
}

// serveSTUN is a STUN server until its process is killed.
func serveSTUN(t *testing.T, _ *testServer) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: 3478})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(insideReady)
	answerSTUN(conn, netip.Addr{})
}

// publishByChromium: a browser whose page is not on HTTPS is told that it is as good as that.
func publishByChromium(t *testing.T, s *testServer) {
	b := startBrowser(t, chromedp.Flag("unsafely-treat-insecure-origin-as-secure", s.URL))
	studio := b.goLive(s, "cats", "Cats")
	checkWay(t, s, "tcp")
	studio.waitState("live")
}

// watchWithLoss: what the network loses is sent again, on the way in and on the way out.
func watchWithLoss(t *testing.T, s *testServer) {
	b := s.broadcast(t, cats, s.Admin, tenSeconds)
	b.waitSent(3)
	v := s.watch(t, cats)
	v.waitPicture(b.sent() + 75)
	if err := checkRow(v.pictures(), uint32(pictureTime.Seconds()*90000)); err != nil {
		t.Error(err)
	}
}
