//go:build ignore

// Record writes the files of this folder: what Chromium sends of a made-up camera with layers within one encoding. It
// needs a Chromium. Run it in this folder: go run record.go
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/codec"
)

const descriptorURI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

var recordings = []struct {
	file, mime, format, mode string
	described                bool
	frames                   int
}{
	{"vp8-l1t3", webrtc.MimeTypeVP8, "", "L1T3", false, 24},
	{"vp8-l1t3-described", webrtc.MimeTypeVP8, "", "L1T3", true, 24},
	{"h264-l1t3", webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", "L1T3",
		false, 24},
	{"h264-l1t3-described", webrtc.MimeTypeH264,
		"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", "L1T3", true, 24},
	{"vp9-l1t3", webrtc.MimeTypeVP9, "profile-id=0", "L1T3", false, 24},
	{"vp9-l3t3-key", webrtc.MimeTypeVP9, "profile-id=0", "L3T3_KEY", false, 9},
	{"vp9-l3t3-key-described", webrtc.MimeTypeVP9, "profile-id=0", "L3T3_KEY", true, 9},
	{"av1-l1t3", webrtc.MimeTypeAV1, "", "L1T3", false, 24},
	{"av1-l1t3-described", webrtc.MimeTypeAV1, "", "L1T3", true, 24},
	{"av1-l3t3-key-described", webrtc.MimeTypeAV1, "", "L3T3_KEY", true, 9},
}

// script offers a moving picture with a scalability mode.
const script = `(async () => {
	const canvas = document.createElement("canvas");
	[canvas.width, canvas.height] = [960, 540]; // Chromium makes no layers below 240x135
	const paper = canvas.getContext("2d");
	let n = 0;
	setInterval(() => {
		paper.fillStyle = "#246";
		paper.fillRect(0, 0, 960, 540);
		paper.fillStyle = "#fd8";
		paper.fillRect(n++ * 9 %% 560, 130, 80, 80);
	}, 40);
	const pc = window.pc = new RTCPeerConnection();
	const [track] = canvas.captureStream(25).getVideoTracks();
	const transceiver = pc.addTransceiver(track, { direction: "sendonly",
		sendEncodings: [{ scalabilityMode: %q, maxBitrate: %d }] });
	const codecs = RTCRtpSender.getCapabilities("video").codecs.filter((c) => c.mimeType === %q);
	transceiver.setCodecPreferences(codecs);
	await pc.setLocalDescription();
	await new Promise((done) => pc.iceGatheringState === "complete" ? done()
		: pc.addEventListener("icegatheringstatechange", () => pc.iceGatheringState === "complete" && done()));
	const answer = await fetch("/offer", { method: "POST", body: pc.localDescription.sdp });
	await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
	return pc.localDescription.sdp;
})()`

func main() {
	allocated, release := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-dev-shm-usage", true))
	defer release()
	ctx, cancel := chromedp.NewContext(allocated)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		log.Fatal(err)
	}
	for i := range recordings {
		if len(os.Args) > 1 && !strings.HasPrefix(recordings[i].file, os.Args[1]) {
			continue
		}
		record(ctx, i)
	}
}

func record(ctx context.Context, i int) {
	r := recordings[i]
	var media webrtc.MediaEngine
	must(media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: r.mime, ClockRate: 90000, SDPFmtpLine: r.format,
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "transport-cc"}}},
		PayloadType: 96,
	}, webrtc.RTPCodecTypeVideo))
	if r.described {
		must(media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: descriptorURI},
			webrtc.RTPCodecTypeVideo))
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(&media), webrtc.WithSettingEngine(settings)).
		NewPeerConnection(webrtc.Configuration{})
	must(err)
	defer pc.Close()
	done := make(chan []byte)
	var once sync.Once
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		id := 0
		for _, e := range receiver.GetParameters().HeaderExtensions {
			if e.URI == descriptorURI {
				id = e.ID
			}
		}
		var out []byte
		frames, stamp := 0, uint32(0)
		framer := codec.NewFramer(siaran.CodecName(strings.ToUpper(strings.TrimPrefix(r.mime, "video/"))))
		begun := time.Now()
		asked := !strings.HasPrefix(r.mode, "L3")
		for recording := false; frames <= r.frames; {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			// Chromium begins with the lowest spatial layer, and adds others as it finds out about the path.
			if !asked && time.Since(begun) > 8*time.Second {
				asked = true
				pli := rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}
				must(pc.WriteRTCP([]rtcp.Packet{&pli}))
			}
			key := framer.Next(p.Payload, int64(p.Timestamp), p.Marker).Keyframe
			if recording = recording || asked && key; !recording {
				continue
			}
			if len(p.Payload) == 0 {
				continue
			}
			if frames == 0 || p.Timestamp != stamp {
				frames, stamp = frames+1, p.Timestamp
				if frames > r.frames {
					break
				}
			}
			descriptor := p.GetExtension(uint8(id))
			out = binary.BigEndian.AppendUint16(out, uint16(len(p.Payload)))
			out = binary.BigEndian.AppendUint32(out, p.Timestamp)
			marker := byte(0)
			if p.Marker {
				marker = 1
			}
			out = append(out, marker, byte(len(descriptor)))
			out = append(append(out, p.Payload...), descriptor...)
		}
		once.Do(func() { done <- out })
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!doctype html>") })
	mux.HandleFunc("POST /offer", func(w http.ResponseWriter, req *http.Request) {
		offer, _ := io.ReadAll(req.Body)
		must(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)}))
		answer, err := pc.CreateAnswer(nil)
		must(err)
		gathered := webrtc.GatheringCompletePromise(pc)
		must(pc.SetLocalDescription(answer))
		<-gathered
		text := strings.Replace(pc.LocalDescription().SDP, "m=video", "a=extmap-allow-mixed\r\nm=video", 1)
		io.WriteString(w, text)
	})
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	defer server.Close()
	must(chromedp.Do(ctx, chromedp.Navigate("http://"+listener.Addr().String()+"/")))
	bitrate := 150000
	if strings.HasPrefix(r.mode, "L3") {
		bitrate = 3000000
	}
	offer, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(script, r.mode, bitrate, r.mime), chromedp.EvalAwaitPromise))
	must(err)
	if i == 0 || os.Getenv("OFFERS") != "" {
		log.Print(offer)
	}
	select {
	case out := <-done:
		log.Printf("%s: %d bytes", r.file, len(out))
		must(os.WriteFile(r.file+".rtp", out, 0o644))
	case <-time.After(20 * time.Second):
		log.Printf("%s: no media", r.file)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
