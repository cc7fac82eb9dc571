package browser

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/web/access"
)

// watcher is a page's script that watches a stream, and chooses what it gets of it with the layer extension of WHEP.
const watcher = `(() => {
	window.watch = async (stream, apart = true) => {
		const pc = new RTCPeerConnection();
		const transceiver = pc.addTransceiver("video", { direction: "recvonly" });
		const { offerDescriptors } = await import("/static/js/sdp.js");
		if (apart) offerDescriptors(transceiver);
		const video = document.body.appendChild(document.createElement("video"));
		video.muted = true;
		pc.addEventListener("track", ({ track }) => { video.srcObject = new MediaStream([track]); video.play(); });
		await pc.setLocalDescription();
		const answer = await fetch("/whep/" + stream, { method: "POST", body: pc.localDescription.sdp,
			headers: { "Content-Type": "application/sdp" } });
		if (!answer.ok) throw new Error(await answer.text());
		await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
		window.layersURL = new URL(/<([^>]*)>; *rel="urn:ietf:params:whep:ext:core:layer"/
			.exec(answer.headers.get("Link"))[1], location);
		Object.assign(window, { pc, video });
		return true;
	};
	window.offered = async () => (await fetch(layersURL)).json();
	window.choose = async (choice) => (await fetch(layersURL, { method: "POST", body: JSON.stringify(choice),
		headers: { "Content-Type": "application/json" } })).status;
	window.got = async () => [...(await pc.getStats()).values()].find(({ type }) => type === "inbound-rtp") ?? {};
})()`

// part is what the layer extension says of a layer.
type part struct {
	RID      string `json:"rid,omitempty"`
	Spatial  *int   `json:"spatialLayerId,omitempty"`
	Temporal *int   `json:"temporalLayerId,omitempty"`
	Bitrate  int    `json:"bitrate"`
	Height   int    `json:"height"`
}

func (p part) String() string {
	text, _ := json.Marshal(p)
	return string(text)
}

// TestStudioSendsLayers checks that what the studio sends arrives as layers, of each codec as it is meant, and that a
// viewer can play them, switching from one to another.
func TestStudioSendsLayers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		codec, quality    string
		rids              []string
		spatial, temporal int // how many layers within one encoding, at least
	}{
		{"", "480", []string{"m", "h"}, 1, 2},
		{"vp8", "720", []string{"l", "m"}, 1, 3}, // a busy browser leaves out the largest
		{"vp9", "480", []string{""}, 2, 3},
		{"av1", "480", []string{"m", "h"}, 1, 2},
	} {
		t.Run("codec="+test.codec, func(t *testing.T) {
			s := harness.Start(t)
			b := chromium.Start(t)
			studio := b.OpenStudio(s, "codec="+test.codec)
			chromium.Eval[bool](studio, `((quality) => {
				quality.value = "`+test.quality+`";
				return quality.dispatchEvent(new Event("change", { bubbles: true }));
			})(document.getElementById("quality"))`)
			studio.Fill("name", "kopi")
			studio.ClickID("go-live")
			studio.WaitState("live")
			p := b.Open(s.URL + "/")
			chromium.Eval[bool](p, watcher+`, watch("kopi")`)
			for _, layer := range waitLayers(p, test.rids, test.spatial, test.temporal) {
				checkPlays(p, layer)
			}
			studio.CheckConsole()
		})
	}
}

// svcSender is a page's script that broadcasts a moving picture of 512x288 in AV1, in two spatial and two temporal
// layers.
const svcSender = `(async (stream, token) => {
	const canvas = document.createElement("canvas");
	const [width, height] = [canvas.width, canvas.height] = [512, 288]; // Chromium makes no layers below 240x135
	const paper = canvas.getContext("2d");
	let n = 0;
	setInterval(() => {
		paper.fillStyle = "#246";
		paper.fillRect(0, 0, width, height);
		paper.fillStyle = "#fd8";
		paper.fillRect(n++ * 7 % width, height / 3, 60, 60);
	}, 100);
	const pc = window.pc = new RTCPeerConnection();
	const [track] = canvas.captureStream(10).getVideoTracks();
	const transceiver = pc.addTransceiver(track, { direction: "sendonly",
		sendEncodings: [{ scalabilityMode: "L2T2", maxBitrate: 600_000 }] });
	const { codecs } = RTCRtpSender.getCapabilities("video");
	transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === "video/AV1"));
	await pc.setLocalDescription();
	const answer = await fetch("/whip/" + stream, { method: "POST", body: pc.localDescription.sdp,
		headers: { "Content-Type": "application/sdp", Authorization: "Bearer " + token } });
	if (!answer.ok) throw new Error(await answer.text());
	await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
	return true;
})`

// TestSpatialLayersOfAV1 plays spatial layers of AV1 one after the other where the viewer takes descriptors, and all of
// them where it does not.
func TestSpatialLayersOfAV1(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	sender := b.Open(s.URL + "/")
	chromium.Eval[bool](sender, fmt.Sprintf("%s(%q, %q)", svcSender, "kopi", s.Token(t, "kopi", access.Publish)))
	whole, p := b.Open(s.URL+"/"), b.Open(s.URL+"/")
	p.Wait("the stream is live", `fetch("/api/streams/kopi").then(({ ok }) => ok)`)
	chromium.Eval[bool](p, watcher+`, watch("kopi")`)
	for _, layer := range waitLayers(p, []string{""}, 2, 2) {
		checkPlays(p, layer)
	}
	chromium.Eval[bool](whole, watcher+`, watch("kopi", false)`)
	checkPlays(whole, waitLayers(whole, []string{""}, 1, 1)[0])
	harness.Eventually(t, "without descriptors the picture has the size of the largest layer", func() bool {
		largest := slices.MaxFunc(waitLayers(p, []string{""}, 2, 2), func(a, b part) int { return a.Height - b.Height })
		return chromium.Eval[int](whole, "video.videoHeight") == largest.Height // the browser may change it at any time
	})
}

// waitLayers waits until a viewer is told of these layers, and returns some of all that there are.
func waitLayers(p *chromium.Tab, rids []string, spatial, temporal int) (list []part) {
	p.T.Helper()
	harness.Eventually(p.T, fmt.Sprintf("layers with rids %q, %d spatial and %d temporal ones", rids, spatial, temporal),
		func() bool {
			type answer struct{ Layers map[string][]part }
			list = nil
			for _, parts := range chromium.Eval[answer](p, "offered()").Layers {
				list = append(list, parts...)
			}
			list = slices.DeleteFunc(list, func(l part) bool { return l.Bitrate == 0 || l.Height == 0 })
			for _, rid := range rids {
				most := [2]int{}
				for _, l := range list {
					if l.RID == rid {
						most = [2]int{max(most[0], number(l.Spatial)+1), max(most[1], number(l.Temporal)+1)}
					}
				}
				if most[0] < spatial || most[1] < temporal {
					return false
				}
			}
			return true
		})
	slices.SortFunc(list, func(a, b part) int { return strings.Compare(a.String(), b.String()) })
	return []part{list[0], list[len(list)-1], list[len(list)/2], list[0]}
}

func number(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// checkPlays chooses a layer, and waits until it is what is shown, and until 8 frames in a row have been decoded
// without a request for a key frame.
func checkPlays(p *chromium.Tab, layer part) {
	p.T.Helper()
	choice, err := json.Marshal(layer)
	if err != nil {
		p.T.Fatal(err)
	}
	if status := chromium.Eval[int](p, "choose("+string(choice)+")"); status != 200 {
		p.T.Fatalf("%s: status %d", layer, status)
	}
	// The browser makes pictures smaller when the machine is busy.
	p.Wait(layer.String()+" is shown", fmt.Sprintf(`offered().then(({ viewing: v }) => v.temporalLayerId === %d &&
		v.spatialLayerId === %d && (v.rid ?? "") === %q && video.videoHeight === v.height)`,
		number(layer.Temporal), number(layer.Spatial), layer.RID))
	chromium.Eval[bool](p, "(window.from = undefined, true)")
	p.Wait(layer.String()+" plays on", `got().then(({ framesDecoded, pliCount }) => {
		if (window.from?.pliCount !== pliCount) window.from = { framesDecoded, pliCount };
		return framesDecoded >= window.from.framesDecoded + 8;
	})`)
}
