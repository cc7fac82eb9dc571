package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/internal/testca"
	"siaran/cmd/siaran/internal/whep"
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
		"no UDP":                withoutUDP,
		"only TCP 443":          onlyHTTPS,
		"Chromium without UDP":  chromiumWithoutUDP,
		"lossy":                 lossyLink,
		"several addresses":     severalAddresses,
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
	"watch by TCP":      watchByTCP,
	"all by HTTPS":      allByHTTPS,
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

// severalAddresses: only the server's second one can be reached, and the system would send from the first.
func severalAddresses(t *testing.T, l *lab) {
	server, client := l.host("server"), l.host("client")
	server.wire("eth0", "203.0.113.1/24 203.0.113.5/24 2001:db8:1::5/64 2001:db8:1::1/64", client, "eth0", "203.0.113.2/24 2001:db8:1::2/64")
	client.firewall(`
		table inet odd {
			chain in { type filter hook input priority filter; meta l4proto udp ip saddr 203.0.113.1 drop; meta l4proto udp ip6 saddr 2001:db8:1::1 drop; }
		}`)
	client.inside("publish and watch", server.serve("--listen=203.0.113.1:8080"))
}

const dropUDP = `
	table inet office {
		chain in { type filter hook input priority filter; meta l4proto udp iifname != "lo" drop; }
		chain out { type filter hook output priority filter; meta l4proto udp oifname != "lo" drop; }
	}`

// withoutUDP: the firewall drops UDP and says nothing.
func withoutUDP(t *testing.T, l *lab) {
	server, office := l.host("server"), l.host("office")
	server.wire("eth0", "203.0.113.1/24 2001:db8:1::1/64", office, "eth0", "203.0.113.2/24 2001:db8:1::2/64")
	office.firewall(dropUDP)
	office.inside("watch by TCP", server.serve("--listen=203.0.113.1:8080"))
}

// onlyHTTPS: the firewall lets nothing out but TCP to port 443.
func onlyHTTPS(t *testing.T, l *lab) {
	server, office := l.host("server"), l.host("office")
	server.wire("eth0", "203.0.113.1/24", office, "eth0", "203.0.113.2/24")
	office.firewall(`
		table inet office {
			chain in { type filter hook input priority filter; policy drop; iifname "lo" accept; ct state established accept; }
			chain out { type filter hook output priority filter; policy drop; oifname "lo" accept; tcp dport 443 accept; }
		}`)
	cert, key := testca.New(t).Issue(t, time.Now().Add(time.Hour), "203.0.113.1")
	file := writeFile(t, "cert.pem", string(cert))
	s := server.serve("--demo", "--listen=203.0.113.1:443", "--tls-cert="+file, "--tls-key="+writeFile(t, "key.pem", string(key)))
	office.inside("all by HTTPS", s, insideCert+"="+file)
}

func chromiumWithoutUDP(t *testing.T, l *lab) {
	server, office := l.host("server"), l.host("office")
	server.wire("eth0", "203.0.113.1/24", office, "eth0", "203.0.113.2/24")
	office.firewall(dropUDP)
	office.inside("Chromium", server.serve("--listen=203.0.113.1:8080", "--turn=")) // it might take the relay
}

// lossyLink loses one of thirty packets each way, once the viewer has begun: nobody misses what was lost before it got anything.
func lossyLink(t *testing.T, l *lab) {
	server, client := l.host("server"), l.host("client")
	server.wire("eth0", "203.0.113.1/24", client, "eth0", "203.0.113.2/24")
	client.inside("loss", server.serve("--listen=203.0.113.1:8080"))
}

const loss = `
	table inet radio {
		chain in { type filter hook input priority filter; iifname "eth0" meta l4proto udp numgen inc mod 30 == 0 counter drop; }
		chain out { type filter hook output priority filter; oifname "eth0" meta l4proto udp numgen inc mod 30 == 0 counter drop; }
	}`

// goLive broadcasts, with key frames so far apart that no viewer jumps to a newer one, and waits until the stream is live.
func goLive(t *testing.T, s *testServer, options ...func(*whip.Config)) *testBroadcaster {
	t.Helper()
	b := s.broadcast(t, cats, s.Admin, tenSeconds, options...)
	eventually(t, "the stream is live", func() bool { return s.stream(t, cats).Status == "live" })
	return b
}

func publishAndWatch(t *testing.T, s *testServer) {
	b := goLive(t, s)
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
	goLive(t, s, byTCP(webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)).waitSent(25)
	checkWay(t, s, "tcp")
}

// byTCP leaves a broadcaster no other way, as a firewall does.
func byTCP(types ...webrtc.NetworkType) func(*whip.Config) {
	return func(c *whip.Config) {
		c.Setting = func(e *webrtc.SettingEngine) { e.SetNetworkTypes(types) }
	}
}

// watchByTCP has a broadcaster that comes by TCP, and a viewer that takes the relay, because nothing else works.
func watchByTCP(t *testing.T, s *testServer) {
	b := goLive(t, s)
	checkWay(t, s, "tcp")
	checkRelayed(t, s, b, s.iceServers(t))
}

func checkRelayed(t *testing.T, s *testServer, b *testBroadcaster, servers []webrtc.ICEServer) {
	t.Helper()
	v := s.watch(t, cats, func(c *whep.Config) { c.ICEServers = servers })
	v.waitPicture(b.sent() + 50)
	if err := v.checkSteady(); err != nil {
		t.Error(err)
	}
	if got := s.paths(t, cats); got != "relayed" {
		t.Errorf("the viewer comes by %q", got)
	}
}

// allByHTTPS has broadcaster and viewers take the relay over TLS, on the port of the pages. Chromium finds it by itself;
// pion would wait for minutes for the others.
func allByHTTPS(t *testing.T, s *testServer) {
	publishByHTTPS(t, s)
	servers := over(s.iceServers(t), "turns:")
	b := goLive(t, s, func(c *whip.Config) { c.ICEServers = servers })
	checkRelayed(t, s, b, servers)
	watch := startBrowser(t, (&secure{cert: os.Getenv(insideCert)}).believing(t)).open(s.URL + "/watch/demo")
	watch.waitMedia()
	if got := eval[string](watch, relayProtocol); got != "relay tls" {
		t.Errorf("Chromium comes by %s", got)
	}
}

// publishByHTTPS: siaran publish finds the relay by itself.
func publishByHTTPS(t *testing.T, s *testServer) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		_, _, err := command(ctx, "publish", "--url", s.whip(cats), "--token", s.Admin, "--demo")
		ended <- err
	}()
	eventuallyWithin(t, time.Minute, "the stream is live", func() bool { return s.stream(t, cats).Status == "live" })
	cancel()
	if said := <-ended; !strings.Contains(said, "relayed=true") {
		t.Error(said)
	}
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
	b := goLive(t, s)
	v := s.watch(t, cats)
	v.waitPicture(b.sent())
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(loss)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	v.waitPicture(b.sent() + 75)
	if out, err := exec.Command("nft", "list", "ruleset").Output(); err != nil || strings.Contains(string(out), "packets 0 ") {
		t.Errorf("nothing was lost: %v\n%s", err, out)
	}
	if err := checkRow(v.pictures(), uint32(pictureTime.Seconds()*90000)); err != nil {
		t.Error(err)
	}
}
