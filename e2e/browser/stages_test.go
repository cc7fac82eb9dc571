package browser

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	pionturn "github.com/pion/turn/v2"
	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
)

// troubles stands before a server, serves its pages, and breaks one stage of a session, after which the stream is
// named.
type troubles struct {
	http.Handler
	t        *testing.T
	server   *harness.Server
	silent   string // host and port, over UDP, where nobody answers
	closed   string // the same over TCP, where nobody listens
	refusing string // a relay without room, over UDP

	mu   sync.Mutex
	ends []func() // of the sessions that it has answered
}

// startTroubles gives the URL of the pages.
func startTroubles(t *testing.T, s *harness.Server) string {
	t.Helper()
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	upstream, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	f := &troubles{
		t: t, server: s, silent: silent.LocalAddr().String(), closed: closed.Addr().String(), refusing: startFullRelay(t),
		Handler: &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
			Transport: transport, FlushInterval: -1,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		},
	}
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
		for _, end := range f.ends { // no request adds to them any more
			end()
		}
	})
	return server.URL
}

// startFullRelay runs a TURN server that knows everyone and has room for nobody.
func startFullRelay(t *testing.T) (addr string) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay, err := pionturn.NewServer(pionturn.ServerConfig{
		Realm: "siaran",
		AuthHandler: func(user, realm string, _ net.Addr) ([]byte, bool) {
			return pionturn.GenerateAuthKey(user, realm, "c"), true
		},
		LoggerFactory:     &logging.DefaultLoggerFactory{Writer: io.Discard},
		PacketConnConfigs: []pionturn.PacketConnConfig{{PacketConn: conn, RelayAddressGenerator: noRoom{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { relay.Close() })
	return conn.LocalAddr().String()
}

// noRoom makes a TURN server answer each wish for an allocation with 508.
type noRoom struct{}

func (noRoom) Validate() error { return nil }
func (noRoom) AllocatePacketConn(string, int) (net.PacketConn, net.Addr, error) {
	return nil, nil, errors.New("full")
}
func (noRoom) AllocateConn(string, int) (net.Conn, net.Addr, error) {
	return nil, nil, errors.New("full")
}

var (
	candidateLine   = regexp.MustCompile(`(?m)^a=candidate:.*\r\n`)
	fingerprintLine = regexp.MustCompile(`(?m)^a=fingerprint:.*\r\n`)
)

func (f *troubles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/ice" {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"iceServers":[]}`) // the answers have them
		return
	}
	if r.URL.Path == "/api/streams/events" {
		// They would say that no such stream is live, and nobody would ask for it.
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.Method == http.MethodPatch && strings.HasPrefix(r.URL.Path, "/whip/blocked/") {
		w.WriteHeader(http.StatusNoContent) // else the server would find the way that the page does not
		return
	}
	parts := strings.Split(r.URL.Path, "/")
	if r.Method != http.MethodPost || len(parts) != 3 || parts[1] != "whep" && parts[1] != "whip" {
		f.Handler.ServeHTTP(w, r)
		return
	}
	trouble := parts[2]
	switch trouble {
	case "down":
		panic(http.ErrAbortHandler) // the connection ends without an answer
	case "nothing", "junk":
		f.answer(w, r, trouble == "junk")
		return
	}
	if parts[1] == "whep" {
		r.URL.Path = "/whep/demo"
	}
	r.Header.Del("Accept-Encoding")
	recorded := httptest.NewRecorder()
	f.Handler.ServeHTTP(recorded, r)
	sdp := recorded.Body.Bytes()
	link := func(uri string) {
		recorded.Header().Add("Link", `<`+uri+`>; rel="ice-server"; username="u"; credential="c"; credential-type="password"`)
	}
	recorded.Header().Del("Link")
	switch trouble {
	case "forged":
		sdp = fingerprintLine.ReplaceAll(sdp, []byte("a=fingerprint:sha-256 "+
			strings.TrimSuffix(strings.Repeat("00:", 32), ":")+"\r\n"))
	case "refused":
		link("turn:" + f.refusing + "?transport=udp")
	case "blocked":
		link("turn:" + f.silent + "?transport=udp")
		link("turn:" + f.closed + "?transport=tcp")
		link("turns:" + f.closed + "?transport=tcp")
	}
	if trouble != "forged" {
		host, port, _ := net.SplitHostPort(f.silent)
		n := 0
		sdp = candidateLine.ReplaceAllFunc(sdp, func([]byte) []byte {
			n++
			if n > 1 {
				return nil
			}
			return fmt.Appendf(nil, "a=candidate:1 1 udp 2130706431 %s %s typ host\r\n", host, port)
		})
	}
	for name, values := range recorded.Header() {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	w.WriteHeader(recorded.Code)
	w.Write(sdp)
}

// answer is a session that connects and then sends nothing, or packets that hold no picture.
func (f *troubles) answer(w http.ResponseWriter, r *http.Request, junk bool) {
	offer, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	engine := &webrtc.MediaEngine{}
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if err := engine.RegisterDefaultCodecs(); err != nil {
		f.t.Error(err)
		return
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine),
		webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		f.t.Error(err)
		return
	}
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8,
		ClockRate: 90000}, "video", "junk")
	if err == nil {
		_, err = pc.AddTrack(track)
	}
	if err == nil {
		err = pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)})
	}
	var answer webrtc.SessionDescription
	if err == nil {
		answer, err = pc.CreateAnswer(nil)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err == nil {
		err = pc.SetLocalDescription(answer)
	}
	var sending sync.WaitGroup
	end := make(chan struct{})
	f.mu.Lock()
	f.ends = append(f.ends, func() {
		close(end)
		sending.Wait()
		if err := pc.Close(); err != nil {
			f.t.Error(err)
		}
	})
	f.mu.Unlock()
	if err != nil {
		f.t.Errorf("answer: %v", err)
		return
	}
	<-gathered
	if junk {
		sending.Go(func() { sendJunk(track, end) })
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", r.URL.Path+"/none")
	w.WriteHeader(http.StatusCreated)
	io.Copy(w, bytes.NewBufferString(pc.LocalDescription().SDP))
}

func sendJunk(track *webrtc.TrackLocalStaticRTP, end chan struct{}) {
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for n := uint16(0); ; n++ {
		select {
		case <-end:
			return
		case <-tick.C:
			// A VP8 frame that is no key frame, after none has been.
			track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: uint32(n) * 2700,
				Marker: true}, Payload: []byte{0x10, 0x01, 0x02, 0x03}})
		}
	}
}

// TestStagesAreNamed: pages say which stage has failed, what was tried and what to do, keep trying, and have details
// for the operator.
func TestStagesAreNamed(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.PublishDemo(t, "demo")
	site := startTroubles(t, s)
	b := chromium.Start(t, chromedp.Flag("host-resolver-rules", "MAP plain.test 127.0.0.1"))
	type page struct {
		stream  string
		query   string
		message string // headline
		detail  []string
		report  []string
	}
	pages := []page{
		{stream: "down", message: "The server cannot be reached", report: []string{"stage    offer"}},
		{stream: "forged", message: "No secure connection for the media",
			report: []string{"dtls", "ice connected", "host udp"}},
		{stream: "nothing", message: "Connected, but nothing arrives", report: []string{"stage    media", "connected"}},
		{stream: "junk", message: "Received, but no picture", report: []string{"stage    decode", "0 frames decoded"}},
		{stream: "norelay", message: "No way through for the media", detail: []string{"offers no relay", "siaran doctor"},
			report: []string{"0 answers"}},
		{stream: "refused", message: "The relay refused", detail: []string{"code 508"}, report: []string{"error 508"}},
		{stream: "refused", query: "?relay=1", message: "The relay refused", detail: []string{"code 508"}},
		{stream: "norelay", query: "?relay=tls", message: "This server has no such relay"},
		{stream: "blocked", message: "No way through for the media",
			detail: []string{"directly (UDP), relay over UDP, relay over TCP and relay over TLS"},
			report: []string{"stage    connect", "no answer"}},
	}
	tabs := make([]*chromium.Tab, len(pages))
	for i, p := range pages {
		tabs[i] = b.Open(site + "/watch/" + p.stream + p.query)
	}
	plain := b.Open(strings.Replace(site, "127.0.0.1", "plain.test", 1) + "/studio#token=" + s.Admin)
	plain.Wait("no camera, and why", `document.getElementById("trouble").textContent.includes("needs HTTPS")`)
	plain.ClickID("turn-on")
	plain.Wait("the step", `document.querySelector('[data-step="allowed"]').dataset.stepState === "failed"`)
	plain.Screenshot("studio-plain")
	studio := b.Open(site + "/studio#token=" + s.Admin)
	studio.Fill("name", "blocked")
	studio.ClickID("go-live")

	for i, p := range pages {
		v := tabs[i]
		v.Wait(p.stream+p.query+": "+p.message, shadow+`.getElementById("message").textContent === "`+p.message+`"`)
		v.WaitState("error")
		v.Wait("it keeps trying", shadow+`.querySelector(".retry").textContent.startsWith("Trying again")`)
		said := chromium.Eval[string](v, shadow+`.getElementById("overlay").textContent`)
		v.Click(shadow + `.getElementById("details")`)
		report := chromium.Eval[string](v, shadow+`.getElementById("report").textContent`)
		for _, want := range p.detail {
			if !strings.Contains(said, want) {
				t.Errorf("%s%s: %q is not in %q", p.stream, p.query, want, said)
			}
		}
		for _, want := range append(p.report, "time ", "browser  Mozilla", p.stream+" at 127.0.0.1") {
			if !strings.Contains(report, want) {
				t.Errorf("%s%s: %q is not in the report:\n%s", p.stream, p.query, want, report)
			}
		}
		for _, secret := range []string{"credential", "username", "password", "ufrag", "Bearer", s.Admin} {
			if strings.Contains(report, secret) {
				t.Errorf("%s%s: %q is in the report:\n%s", p.stream, p.query, secret, report)
			}
		}
	}
	blocked := tabs[len(tabs)-1]
	first := chromium.Eval[int](blocked, chromium.Player+`.receiver.failure.retryAt`)
	blocked.Wait("another attempt", fmt.Sprintf(`%s.receiver.failure.retryAt > %d`, chromium.Player, first))

	studio.Wait("the step", `document.querySelector('[data-step="connected"]').dataset.stepState === "failed"`)
	studio.Wait("the reason",
		`document.getElementById("trouble").textContent.includes("relay over UDP, relay over TCP and relay over TLS")`)
	studio.Wait("it keeps trying", `document.querySelector("#trouble .retry").textContent.startsWith("Trying again")`)
	studio.ClickID("details")
	studio.Wait("a report", `document.getElementById("report").textContent.includes("no answer")`)
	shoot(studio, "studio-blocked", chromium.Viewports...)
	shoot(blocked, "watch-blocked-details", chromium.Viewports...)
	blocked.Click(shadow + `.querySelector(".report .quiet")`)
	shoot(blocked, "watch-blocked", chromium.Viewports...)
	blocked.ClickID("language")
	blocked.Wait("Indonesian", shadow+`.getElementById("message").textContent === "Gambar dan suara tidak dapat lewat"`)
	shoot(blocked, "watch-blocked-id", chromium.Viewports[2])
	studio.ClickID("stop")
	studio.WaitState("idle")
	studio.Wait("the notice goes", `document.getElementById("trouble").textContent === ""`)
	for _, p := range append(tabs, studio) {
		p.CheckConsole()
	}
}
