package netns

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/e2e/harness/netlab"
	"siaran/internal/testca"
	"siaran/internal/whep"
	"siaran/internal/whip"
)

// TestNetworks has clients and servers in the networks that real ones are in. Documentation addresses
// (RFC 5737, RFC 3849) stand for the internet.
func TestNetworks(t *testing.T) {
	t.Parallel()
	netlab.New(t) // or all is skipped
	for name, test := range map[string]func(*testing.T, *netlab.Lab){
		"client behind NAT":     clientBehindNAT,
		"server behind 1:1 NAT": serverBehindNAT,
		"discovered address":    discoveredAddress,
		"IPv6 only":             onlyIPv6,
		"no UDP":                withoutUDP,
		"only TCP 443":          onlyHTTPS,
		"Chromium without UDP":  chromiumWithoutUDP,
		"lossy":                 lossyLink,
		"several addresses":     severalAddresses,
		"moving Chromium":       movingChromium,
		"moving publisher":      movingPublisher,
		"MTU 1280":              func(t *testing.T, l *netlab.Lab) { smallMTU(t, l, "1280", ":8189") },
		"MTU 1000":              func(t *testing.T, l *netlab.Lab) { smallMTU(t, l, "1000", ":8189") },
		"MTU 1000, bound":       func(t *testing.T, l *netlab.Lab) { smallMTU(t, l, "1000", "203.0.113.1:8189") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, netlab.New(t))
		})
	}
}

// clients run in processes of their own, on hosts of a lab.
var clients = map[string]netlab.Client{
	"publish and watch": publishAndWatch,
	"large packets":     publishLargePackets,
	"publish by TCP":    publishByTCP,
	"watch by TCP":      watchByTCP,
	"all by HTTPS":      allByHTTPS,
	"Chromium":          publishByChromium,
	"move by Chromium":  moveByChromium,
	"move by publish":   moveByPublish,
	"loss":              watchWithLoss,
	"STUN":              serveSTUN,
}

// clientBehindNAT: broadcaster and viewer are at home, behind a router that changes ports and lets nobody in.
func clientBehindNAT(t *testing.T, l *netlab.Lab) {
	server, router, home := l.Host("server"), l.Host("router"), l.Host("home")
	server.Connect("wan", "203.0.113.1/24", router, "wan", "203.0.113.2/24")
	router.Connect("lan", "192.168.77.1/24", home, "eth0", "192.168.77.2/24")
	home.IP("route add default via 192.168.77.1")
	router.EnableForwarding()
	router.Firewall(`
		table ip home {
			chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade fully-random; }
			chain in {
				type filter hook forward priority filter; policy drop;
				iifname "lan" accept; ct state established accept;
			}
		}`)
	home.RunClient("publish and watch", server.Serve("--listen=203.0.113.1:8080"))
}

// natted is a machine in a cloud: its public address is known to the network before it and not to itself.
func natted(l *netlab.Lab) (server, outside *netlab.Host) {
	server, router, outside := l.Host("server"), l.Host("router"), l.Host("outside")
	server.Connect("eth0", "10.0.0.2/24", router, "lan", "10.0.0.1/24")
	router.Connect("wan", "203.0.113.1/24", outside, "eth0", "203.0.113.2/24")
	server.IP("route add default via 10.0.0.1")
	router.EnableForwarding()
	router.Firewall(`
		table ip cloud {
			chain in { type nat hook prerouting priority dstnat; iifname "wan" ip daddr 203.0.113.1 dnat to 10.0.0.2; }
			chain out { type nat hook postrouting priority srcnat; oifname "wan" ip saddr 10.0.0.2 snat to 203.0.113.1; }
		}`)
	return server, outside
}

func serverBehindNAT(t *testing.T, l *netlab.Lab) {
	server, outside := natted(l)
	s := server.Serve("--public-ip=203.0.113.1", "--base-url=http://203.0.113.1:8080")
	outside.RunClient("publish and watch", s)
	outside.RunClient("publish by TCP", s)
}

// discoveredAddress: the server is told its public address by a STUN server, over the same NAT.
func discoveredAddress(t *testing.T, l *netlab.Lab) {
	server, outside := natted(l)
	outside.StartClient("STUN")
	outside.RunClient("publish and watch", server.Serve("--discover-public-ip=stun:203.0.113.2:3478",
		"--base-url=http://203.0.113.1:8080"))
}

func onlyIPv6(t *testing.T, l *netlab.Lab) {
	server, client := l.Host("server"), l.Host("client")
	server.Connect("eth0", "2001:db8:1::1/64", client, "eth0", "2001:db8:1::2/64")
	s := server.Serve("--listen=[2001:db8:1::1]:8080")
	client.RunClient("publish and watch", s)
	client.RunClient("publish by TCP", s)
}

// severalAddresses: only the server's second one can be reached, and the system would send from the first.
func severalAddresses(t *testing.T, l *netlab.Lab) {
	server, client := l.Host("server"), l.Host("client")
	server.Connect("eth0", "203.0.113.1/24 203.0.113.5/24 2001:db8:1::5/64 2001:db8:1::1/64", client, "eth0",
		"203.0.113.2/24 2001:db8:1::2/64")
	client.Firewall(`
		table inet odd {
			chain in {
				type filter hook input priority filter;
				meta l4proto udp ip saddr 203.0.113.1 drop; meta l4proto udp ip6 saddr 2001:db8:1::1 drop;
			}
		}`)
	client.RunClient("publish and watch", server.Serve("--listen=203.0.113.1:8080"))
}

// smallMTU: one client is behind a link of the server's own that takes only small packets, as a tunnel does, another
// behind such a link that only a router knows of. The broadcaster's packets are larger.
func smallMTU(t *testing.T, l *netlab.Lab, mtu, udp string) {
	server, near, router, far := l.Host("server"), l.Host("near"), l.Host("router"), l.Host("far")
	server.Connect("tunnel", "203.0.113.1/25", near, "eth0", "203.0.113.2/25")
	server.Connect("eth0", "203.0.113.129/25", router, "wan", "203.0.113.130/25")
	router.Connect("lan", "198.51.100.1/24", far, "eth0", "198.51.100.2/24")
	server.IP("route add 198.51.100.0/24 via 203.0.113.130 src 203.0.113.1")
	near.IP("route add default via 203.0.113.1")
	far.IP("route add default via 198.51.100.1")
	router.IP("route add 203.0.113.1/32 via 203.0.113.129")
	router.EnableForwarding()
	server.IP("link set tunnel mtu " + mtu)
	near.IP("link set eth0 mtu " + mtu)
	router.IP("link set lan mtu " + mtu)
	far.IP("link set eth0 mtu " + mtu)
	s := server.Serve("--listen=203.0.113.1:8080", "--udp="+udp, "--public-ip=203.0.113.1", "--tcp=", "--turn=")
	near.RunClient("large packets", s)
	far.RunClient("large packets", s)
}

const dropUDP = `
	table inet office {
		chain in { type filter hook input priority filter; meta l4proto udp iifname != "lo" drop; }
		chain out { type filter hook output priority filter; meta l4proto udp oifname != "lo" drop; }
	}`

// withoutUDP: the firewall drops UDP and says nothing.
func withoutUDP(t *testing.T, l *netlab.Lab) {
	server, office := l.Host("server"), l.Host("office")
	server.Connect("eth0", "203.0.113.1/24 2001:db8:1::1/64", office, "eth0", "203.0.113.2/24 2001:db8:1::2/64")
	office.Firewall(dropUDP)
	office.RunClient("watch by TCP", server.Serve("--listen=203.0.113.1:8080"))
}

// onlyHTTPS: the firewall lets nothing out but TCP to port 443.
func onlyHTTPS(t *testing.T, l *netlab.Lab) {
	server, office := l.Host("server"), l.Host("office")
	server.Connect("eth0", "203.0.113.1/24", office, "eth0", "203.0.113.2/24")
	office.Firewall(`
		table inet office {
			chain in { type filter hook input priority filter; policy drop; iifname "lo" accept; ct state established accept; }
			chain out { type filter hook output priority filter; policy drop; oifname "lo" accept; tcp dport 443 accept; }
		}`)
	cert, key := testca.New(t).Issue(t, time.Now().Add(time.Hour), "203.0.113.1")
	file := harness.WriteFile(t, "cert.pem", string(cert))
	s := server.Serve("--demo", "--listen=203.0.113.1:443", "--tls-cert="+file,
		"--tls-key="+harness.WriteFile(t, "key.pem", string(key)))
	office.RunClient("all by HTTPS", s, netlab.CertFileVariable+"="+file)
}

func chromiumWithoutUDP(t *testing.T, l *netlab.Lab) {
	server, office := l.Host("server"), l.Host("office")
	server.Connect("eth0", "203.0.113.1/24", office, "eth0", "203.0.113.2/24")
	office.Firewall(dropUDP)
	office.RunClient("Chromium", server.Serve("--listen=203.0.113.1:8080", "--turn=")) // it might take the relay
}

// lossyLink loses one of thirty packets each way, once the viewer has begun: nobody misses what was lost before it got
// anything.
func lossyLink(t *testing.T, l *netlab.Lab) {
	server, client := l.Host("server"), l.Host("client")
	server.Connect("eth0", "203.0.113.1/24", client, "eth0", "203.0.113.2/24")
	client.RunClient("loss", server.Serve("--listen=203.0.113.1:8080"))
}

const loss = `
	table inet radio {
		chain in {
			type filter hook input priority filter;
			iifname "eth0" meta l4proto udp numgen inc mod 30 == 0 counter drop;
		}
		chain out {
			type filter hook output priority filter;
			oifname "eth0" meta l4proto udp numgen inc mod 30 == 0 counter drop;
		}
	}`

func publishAndWatch(t *testing.T, s *harness.Server) {
	b := harness.GoLive(t, s, harness.OverNetworks(webrtc.NetworkTypeUDP4,
		webrtc.NetworkTypeUDP6)) // pion takes TCP when its first check is lost
	viewers := []*harness.Viewer{s.Watch(t, harness.Cats), s.Watch(t, harness.Cats)}
	n := b.Sent() + 75 // three seconds
	for _, v := range viewers {
		v.WaitFrame(n)
		if err := v.CheckContinuous(); err != nil {
			t.Error(err)
		}
	}
	harness.WaitTransport(t, s, "udp")
}

func publishLargePackets(t *testing.T, s *harness.Server) {
	b := s.Broadcast(t, harness.Cats, s.Admin, harness.TwoMinutes, func(c *whip.Config) { c.Payload = 1380 })
	harness.Eventually(t, "the stream is live", func() bool { return s.Stream(t, harness.Cats).Status == "live" })
	v := s.Watch(t, harness.Cats)
	v.WaitFrame(b.Sent() + 50)
	if err := v.CheckContinuous(); err != nil {
		t.Error(err)
	}
}

func publishByTCP(t *testing.T, s *harness.Server) {
	harness.GoLive(t, s, harness.OverNetworks(webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)).WaitSent(25)
	harness.WaitTransport(t, s, "tcp")
}

// watchByTCP has a broadcaster that comes by TCP, and a viewer that takes the relay, because nothing else works.
func watchByTCP(t *testing.T, s *harness.Server) {
	b := harness.GoLive(t, s)
	harness.WaitTransport(t, s, "tcp")
	checkRelayed(t, s, b, s.ICEServers(t))
}

func checkRelayed(t *testing.T, s *harness.Server, b *harness.Broadcaster, servers []webrtc.ICEServer) {
	t.Helper()
	v := s.Watch(t, harness.Cats, func(c *whep.Config) { c.ICEServers = servers })
	v.WaitFrame(b.Sent() + 50)
	if err := v.CheckContinuous(); err != nil {
		t.Error(err)
	}
	harness.Eventually(t, "the viewer is listed as relayed", func() bool { return s.Paths(t, harness.Cats) == "relayed" })
}

// allByHTTPS has broadcaster and viewers take the relay over TLS, on the port of the pages. Chromium finds it by
// itself; pion would wait for minutes for the others.
func allByHTTPS(t *testing.T, s *harness.Server) {
	publishByHTTPS(t, s)
	servers := harness.Matching(s.ICEServers(t), "turns:")
	b := harness.GoLive(t, s, func(c *whip.Config) { c.ICEServers = servers })
	checkRelayed(t, s, b, servers)
	watch := chromium.Start(t, chromium.Trusting(t, os.Getenv(netlab.CertFileVariable))).Open(s.URL + "/watch/demo")
	watch.WaitMedia()
	if got := chromium.Eval[string](watch, chromium.RelayProtocol); got != "relay tls" {
		t.Errorf("Chromium comes by %s", got)
	}
}

// publishByHTTPS: siaran publish finds the relay by itself.
func publishByHTTPS(t *testing.T, s *harness.Server) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	cmd := exec.CommandContext(ctx, harness.Command(t), "publish", "--url", s.WHIP(harness.Cats), "--token", s.Admin,
		"--demo")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	go func() {
		said, _ := cmd.CombinedOutput() // how it ends is in what it says
		ended <- string(said)
	}()
	harness.Eventually(t, "the stream is live",
		func() bool { return s.Stream(t, harness.Cats).Status == "live" })
	cancel()
	if said := <-ended; !strings.Contains(said, "relayed=true") {
		t.Error(said)
	}
}

// serveSTUN is a STUN server until its process is killed.
func serveSTUN(t *testing.T, _ *harness.Server) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: 3478})
	if err != nil {
		t.Fatal(err)
	}
	netlab.ReportReady()
	harness.AnswerSTUN(conn, netip.Addr{})
}

// publishByChromium: a browser whose page is not on HTTPS is told that it is as good as that.
func publishByChromium(t *testing.T, s *harness.Server) {
	b := chromium.Start(t, chromedp.Flag("unsafely-treat-insecure-origin-as-secure", s.URL))
	studio := b.GoLive(s, "cats", "Cats")
	harness.WaitTransport(t, s, "tcp")
	studio.WaitState("live")
}

// watchWithLoss: what the network loses is sent again, on the way in and on the way out.
func watchWithLoss(t *testing.T, s *harness.Server) {
	b := harness.GoLive(t, s)
	v := s.Watch(t, harness.Cats)
	v.WaitFrame(b.Sent())
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(loss)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	v.WaitFrame(b.Sent() + 75)
	if out, err := exec.Command("nft", "list", "ruleset").Output(); err != nil ||
		strings.Contains(string(out), "packets 0 ") {
		t.Errorf("nothing was lost: %v\n%s", err, out)
	}
	if err := harness.CheckConsecutive(v.VideoFrames(), uint32(harness.FrameInterval.Seconds()*90000)); err != nil {
		t.Error(err)
	}
}
