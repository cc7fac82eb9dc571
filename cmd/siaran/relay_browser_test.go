package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"siaran"
)

// believing is the option with which Chromium takes the server's certificate, for HTTPS and for relays over TLS.
func (s *secure) believing(t *testing.T) chromedp.ExecAllocatorOption {
	t.Helper()
	text, err := os.ReadFile(s.cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(sum[:]))
}

// relayProtocol is what getStats() says of the way that a player uses: its own candidate's type, and how it reaches the relay.
const relayProtocol = player + `.receiver.reports().then((all) => {
	const by = (id) => all.find((r) => r.id === id);
	const local = by(by(all.find((r) => r.type === "transport").selectedCandidatePairId)?.localCandidateId);
	return local?.candidateType + " " + local?.relayProtocol;
})`

// playFor waits until each of the tabs has played for so many seconds, and gives the pictures that each has decoded meanwhile.
func playFor(seconds int, tabs []*tab) []int {
	const step = 5
	decoded := fmt.Sprintf(inbound, "framesDecoded")
	from, pictures := make([]float64, len(tabs)), make([]int, len(tabs))
	for i, p := range tabs {
		from[i], pictures[i] = eval[float64](p, player+".video.currentTime"), -eval[int](p, decoded)
	}
	for played := step; played <= seconds; played += step {
		for i, p := range tabs {
			p.wait("it plays on", fmt.Sprintf("%s.video.currentTime >= %g", player, from[i]+float64(played)))
		}
	}
	for i, p := range tabs {
		pictures[i] += eval[int](p, decoded)
	}
	return pictures
}

// paths are those of a stream's viewers, as the API lists them.
func (s *testServer) paths(t *testing.T, stream siaran.StreamName) string {
	t.Helper()
	var list struct{ Viewers []struct{ Path string } }
	s.decode(t, "/api/streams/"+string(stream)+"/viewers", &list)
	var paths []string
	for _, v := range list.Viewers {
		paths = append(paths, v.Path)
	}
	return strings.Join(paths, " ")
}

// TestRelayedInChromium watches for 20 s with nothing but the relay, over UDP, TCP and TLS on the port of HTTPS, and
// goes live from the studio that way. The offers know nothing of the relay yet, and these viewers cannot send candidates
// later: the media learns where they are from their checks.
func TestRelayedInChromium(t *testing.T) {
	s := startSecure(t, func(c *Config) { c.Demo = true })
	b := startBrowser(t, s.believing(t))
	transports := []string{"udp", "tcp", "tls"}
	var viewers []*tab
	for _, transport := range transports {
		v := b.open("about:blank")
		const mute = `const ask = fetch; window.fetch = (url, options) => options?.method === "PATCH" ? Promise.reject(new TypeError("no PATCH")) : ask(url, options)`
		if _, err := chromedp.Call(v.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: mute}); err != nil {
			t.Fatal(err)
		}
		v.visit(s.URL + "/watch/demo?relay=" + transport)
		viewers = append(viewers, v)
	}
	studio := b.open(s.URL + "/studio?relay=tls#token=" + s.Admin)
	studio.fill("name", "kopi")
	studio.clickID("go-live")

	for i, v := range viewers {
		v.waitMedia()
		if got := eval[string](v, relayProtocol); got != "relay "+transports[i] {
			t.Errorf("it comes by %s, want a relay over %s", got, transports[i])
		}
		t.Logf("%s: %s", transports[i], eval[string](v, player+`.receiver.route.marks.map((m) => m.join(" ")).join(", ")`))
	}
	eventually(t, "all are known to be relayed", func() bool { return s.paths(t, demoStream) == "relayed relayed relayed" })

	studio.waitState("live")
	studio.wait("it says so", `document.querySelector('[data-testid="gauge-path"]').textContent === "Relay, TLS"`)
	direct := b.open(s.URL + "/watch/kopi")
	direct.waitMedia()
	eventually(t, "who was not told to, comes directly", func() bool { return s.paths(t, "kopi") == "direct" })
	pictures := playFor(20, viewers)
	for i, v := range viewers {
		t.Logf("%s: %d pictures in 20 s", transports[i], pictures[i])
		if pictures[i] < 250 { // of 500; a machine under load may decode fewer
			t.Errorf("%s: %d pictures in 20 s", transports[i], pictures[i])
		}
		v.clickID("stats-toggle")
		v.wait("it says so", `document.querySelector('[data-testid="stat-path"]').textContent === "Relay, `+strings.ToUpper(transports[i])+`"`)
		v.checkQuiet()
	}
	direct.waitMedia()
	viewers[2].shoot("watch-relayed", looks[0])
	studio.clickID("stop")
	studio.clickID("stop") // there is a viewer
	studio.waitState("idle")
	studio.checkQuiet()
}
