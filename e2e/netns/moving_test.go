package netns

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/e2e/harness/netlab"
	"siaran/internal/demo"
	"siaran/internal/publish"
	"siaran/internal/whip"
)

// phone is a host that can leave one network for another: its second interface is down.
func phone(l *netlab.Lab) (server, phone *netlab.Host) {
	server, phone = l.Host("server"), l.Host("phone")
	server.Connect("wifi", "203.0.113.1/25", phone, "wifi", "203.0.113.2/25")
	server.Connect("mobile", "203.0.113.129/25", phone, "mobile", "203.0.113.130/25")
	phone.IP("route add default via 203.0.113.1")
	phone.IP("link set mobile down")
	return server, phone
}

// move takes the phone from one network to the other: its address goes away and another comes.
func move(t *testing.T) {
	t.Helper()
	for _, args := range []string{
		"link set mobile up", "link set wifi down", "route replace default via 203.0.113.129",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
}

func movingChromium(t *testing.T, l *netlab.Lab) {
	server, phone := phone(l)
	phone.RunClient("move by Chromium", server.Serve("--listen=203.0.113.1:8080", "--demo", "--turn="))
}

// sessionRequests is how often a page has offered something to the server.
const sessionRequests = `performance.getEntriesByType("resource")
	.filter(({ name }) => /^\/wh[ie]p\/[^/]+$/.test(new URL(name).pathname)).length`

// moveByChromium: who watches goes on watching and who broadcasts goes on broadcasting, without a new session.
func moveByChromium(t *testing.T, s *harness.Server) {
	b := chromium.Start(t, chromedp.Flag("unsafely-treat-insecure-origin-as-secure", s.URL))
	studio := b.GoLive(s, "cats", "Cats")
	viewer := b.Open(s.URL + "/watch/demo")
	viewer.WaitMedia()
	chromium.Eval[bool](viewer, `(() => {
		const video = `+chromium.Player+`.video;
		let last = performance.now();
		window.gap = 0;
		const shown = (now) => { gap = Math.max(gap, now - last); last = now; again(); };
		const again = () => video.requestVideoFrameCallback(shown);
		again();
		return true;
	})()`)
	move(t)
	harness.Eventually(t, "a gap and its end", func() bool {
		return chromium.Eval[bool](viewer, fmt.Sprintf("%s.then((n) => gap > 200 && n > 0)",
			fmt.Sprintf(chromium.Inbound, "framesDecoded")))
	})
	viewer.WaitMedia()
	harness.Eventually(t, "media of the studio",
		func() bool { return s.Stream(t, "cats").Status == "live" })
	studio.WaitState("live")
	for name, tab := range map[string]*chromium.Tab{"viewer": viewer, "studio": studio} {
		if n := chromium.Eval[int](tab, sessionRequests); n != 1 {
			t.Errorf("the %s has opened %d sessions", name, n)
		}
	}
	t.Logf("Chromium showed no picture for %.0f ms", chromium.Eval[float64](viewer, "gap"))
}

func movingPublisher(t *testing.T, l *netlab.Lab) {
	server, phone := phone(l)
	phone.RunClient("move by publish", server.Serve("--listen=203.0.113.1:8080", "--turn=", "--tcp="))
}

// moveByPublish: siaran publish goes on by itself, in the session that it has.
func moveByPublish(t *testing.T, s *harness.Server) {
	clip, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	log := &harness.Buffer{}
	go func() {
		ended <- publish.Clip(ctx, whip.Config{URL: s.WHIP(harness.Cats), Token: s.Admin}, clip,
			publish.Options{Loop: true}, slog.New(slog.NewTextHandler(log, nil)))
	}()
	harness.Eventually(t, "the stream is live", func() bool { return s.Stream(t, harness.Cats).Status == "live" })
	packets := func() (sum int) { // of this session
		var health struct{ Layers []struct{ Packets int } }
		s.Decode(t, "/api/streams/cats/health", &health)
		for _, layer := range health.Layers {
			sum += layer.Packets
		}
		return sum
	}
	move(t)
	http.DefaultClient.CloseIdleConnections() // they lead through the network that is gone
	before := packets()
	harness.Eventually(t, "media", func() bool { return packets() > before+500 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Count(log.String(), "msg=publishing ") != 1 {
		t.Errorf("it published again:\n%s", log.String())
	}
}
