package harness

import (
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/signalling"
)

// The layers' clips are two seconds of the demo clip (VP8, 25 frames a second), of which the first frame alone is a key
// frame:
//
//	ffmpeg -i internal/demo/clip.ivf -t 2 -vf scale=W:H,fps=25 -c:v libvpx -b:v R -maxrate R -bufsize 400k \
//	  -deadline good -cpu-used 4 -auto-alt-ref 0 -lag-in-frames 0 -g 1000 LAYER.ivf
//
//go:embed testdata/l.ivf testdata/m.ivf testdata/h.ivf
var layerClips embed.FS

// SimulcastLayers are the layers of a Simulcast, the smallest first.
var SimulcastLayers = []struct {
	RID    string
	Height int
	Rate   int // bits a second
}{{"l", 180, 150_000}, {"m", 360, 500_000}, {"h", 720, 2_500_000}}

const (
	uriMid = "urn:ietf:params:rtp-hdrext:sdes:mid"
	uriRID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
)

// Simulcast broadcasts three layers that a browser can decode, and sound. As browsers do, it sends key frames only when
// it is asked for them.
type Simulcast struct {
	pc     *webrtc.PeerConnection
	sound  *webrtc.TrackLocalStaticRTP
	layers []*simulcastLayer
	cancel context.CancelFunc
	done   sync.WaitGroup

	connected bool
	listening sync.WaitGroup // to requests for key frames
}

type simulcastLayer struct {
	track     *webrtc.TrackLocalStaticRTP
	payloader codecs.VP8Payloader
	frames    [][]byte
	size      int // bytes that a frame is filled up to
	next      int
	sequence  uint16
	midID     uint8
	ridID     uint8
	rid       string
	keyframe  atomic.Bool // is wanted
	keyframes atomic.Int32
}

// Simulcast goes live, and is until the test ends.
func (s *Server) Simulcast(t testing.TB, stream siaran.StreamName, token string) *Simulcast {
	t.Helper()
	b := &Simulcast{}
	if err := b.open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	t.Cleanup(func() {
		cancel()
		b.stopListening()
		if err := b.pc.GracefulClose(); err != nil {
			t.Error(err)
		}
		b.listening.Wait()
		b.done.Wait()
	})
	if err := b.connect(t.Context(), s, stream, token); err != nil {
		t.Fatal(err)
	}
	b.connected = true
	b.done.Go(func() { b.send(ctx) })
	Eventually(t, "it is live", func() bool { return slices.Contains(s.Listed(t), string(stream)) })
	return b
}

// stopListening ends the reads of requests for key frames: pion does not keep them apart from its own closing.
func (b *Simulcast) stopListening() {
	if !b.connected {
		return // the reads have not begun
	}
	for _, sender := range b.pc.GetSenders() {
		for _, l := range b.layers {
			_ = sender.SetReadDeadlineSimulcast(time.Unix(1, 0), l.rid) // fails for the sound
		}
	}
	b.listening.Wait()
}

// Keyframes is how many key frames a layer has sent.
func (b *Simulcast) Keyframes(layer int) int { return int(b.layers[layer].keyframes.Load()) }

func (b *Simulcast) open() error {
	var engine webrtc.MediaEngine
	err := engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: Tracks[1], PayloadType: 111},
		webrtc.RTPCodecTypeAudio)
	video := Tracks[0]
	video.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	err = errors.Join(err, engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: video, PayloadType: 96},
		webrtc.RTPCodecTypeVideo))
	for _, uri := range []string{uriMid, uriRID} {
		err = errors.Join(err, engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri},
			webrtc.RTPCodecTypeVideo))
	}
	if err != nil {
		return err
	}
	var setting webrtc.SettingEngine
	setting.SetIncludeLoopbackCandidate(true)
	setting.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&engine), webrtc.WithSettingEngine(setting))
	if b.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return err
	}
	return b.addTracks(video)
}

func (b *Simulcast) addTracks(video webrtc.RTPCodecCapability) (err error) {
	if b.sound, err = webrtc.NewTrackLocalStaticRTP(Tracks[1], "audio", "simulcast"); err != nil {
		return err
	}
	sendOnly := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	sound, err := b.pc.AddTransceiverFromTrack(b.sound, sendOnly)
	if err != nil {
		return err
	}
	b.done.Go(func() { drain(func(buf []byte) (int, error) { n, _, err := sound.Sender().Read(buf); return n, err }) })
	var sender *webrtc.RTPSender
	for _, described := range SimulcastLayers {
		l := &simulcastLayer{
			rid: described.RID, size: described.Rate / 8 * int(FrameInterval.Milliseconds()) / 1000,
			payloader: codecs.VP8Payloader{EnablePictureID: true},
		}
		if l.frames, err = readIVF(described.RID); err != nil {
			return err
		}
		l.keyframe.Store(true)
		if l.track, err = webrtc.NewTrackLocalStaticRTP(video, "video", "simulcast",
			webrtc.WithRTPStreamID(l.rid)); err != nil {
			return err
		}
		if sender == nil {
			var transceiver *webrtc.RTPTransceiver
			if transceiver, err = b.pc.AddTransceiverFromTrack(l.track, sendOnly); err == nil {
				sender = transceiver.Sender()
			}
		} else {
			err = sender.AddEncoding(l.track)
		}
		if err != nil {
			return err
		}
		b.layers = append(b.layers, l)
	}
	for _, l := range b.layers {
		b.listening.Go(func() { l.listen(sender) })
	}
	return nil
}

// readIVF returns the frames of a layer's clip.
func readIVF(name string) (frames [][]byte, err error) {
	b, err := layerClips.ReadFile("testdata/" + name + ".ivf")
	if err != nil {
		return nil, err
	}
	const fileHeader, frameHeader = 32, 12
	for b = b[fileHeader:]; len(b) >= frameHeader; {
		size := int(binary.LittleEndian.Uint32(b))
		frames = append(frames, b[frameHeader:frameHeader+size])
		b = b[frameHeader+size:]
	}
	return frames, nil
}

func (b *Simulcast) connect(ctx context.Context, s *Server, stream siaran.StreamName, token string) error {
	endpoint, err := url.Parse(s.WHIP(stream))
	if err != nil {
		return err
	}
	up := make(chan struct{}, 1)
	b.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			up <- struct{}{}
		}
	})
	if _, err := signalling.New(s.Client, token).Open(ctx, endpoint, b.pc); err != nil {
		return err
	}
	for _, sender := range b.pc.GetSenders() {
		for _, e := range sender.GetParameters().HeaderExtensions {
			for _, l := range b.layers {
				switch e.URI {
				case uriMid:
					l.midID = uint8(e.ID)
				case uriRID:
					l.ridID = uint8(e.ID)
				}
			}
		}
	}
	select {
	case <-up:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listen takes requests for key frames.
func (l *simulcastLayer) listen(sender *webrtc.RTPSender) {
	drain(func(buf []byte) (int, error) {
		n, _, err := sender.ReadSimulcast(buf, l.rid)
		if err != nil {
			return 0, err
		}
		packets, _ := rtcp.Unmarshal(buf[:n])
		for _, p := range packets {
			if _, ok := p.(*rtcp.PictureLossIndication); ok {
				l.keyframe.Store(true)
			}
		}
		return n, nil
	})
}

func drain(read func([]byte) (int, error)) {
	for buf := make([]byte, 1500); ; {
		if _, err := read(buf); err != nil {
			return
		}
	}
}

func (b *Simulcast) send(ctx context.Context) {
	tick := time.NewTicker(AudioInterval)
	defer tick.Stop()
	mid := "1" // video is the second section
	for _, tr := range b.pc.GetTransceivers() {
		if tr.Kind() == webrtc.RTPCodecTypeVideo {
			mid = tr.Mid()
		}
	}
	begun := time.Now()
	for sounds, pictures := 0, 0; ; {
		for ; time.Duration(sounds)*AudioInterval <= time.Since(begun); sounds++ {
			_ = b.sound.WriteRTP(&rtp.Packet{Payload: AudioFrame(sounds), Header: rtp.Header{
				Version: 2, SequenceNumber: uint16(sounds), Timestamp: uint32(sounds * 960),
			}})
		}
		for ; time.Duration(pictures)*FrameInterval <= time.Since(begun); pictures++ {
			for _, l := range b.layers {
				l.write(mid, uint32(pictures)*uint32(FrameInterval.Milliseconds()*90))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// write sends the layer's next frame. What is behind a VP8 frame's last partition is ignored by decoders (RFC 6386
// section 9.5). After the last frame comes the second one, which looks odd but can be decoded.
func (l *simulcastLayer) write(mid string, timestamp uint32) {
	if l.keyframe.Swap(false) {
		l.next = 0
		l.keyframes.Add(1)
	}
	frame := l.frames[l.next]
	if l.next++; l.next == len(l.frames) {
		l.next = 1
	}
	if missing := l.size - len(frame); missing > 0 {
		frame = append(frame[:len(frame):len(frame)], make([]byte, missing)...)
	}
	payloads := l.payloader.Payload(1100, frame)
	for i, payload := range payloads {
		p := rtp.Packet{Payload: payload, Header: rtp.Header{
			Version: 2, SequenceNumber: l.sequence, Timestamp: timestamp, Marker: i == len(payloads)-1,
		}}
		l.sequence++
		_ = p.SetExtension(l.midID, []byte(mid))
		_ = p.SetExtension(l.ridID, []byte(l.rid))
		_ = l.track.WriteRTP(&p)
	}
}
