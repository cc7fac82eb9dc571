package ingest

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/testutil"
)

func TestMain(m *testing.M) {
	testutil.Together(8)
	os.Exit(testutil.Main(m))
}

// testServer is a server on loopback with a hub of its own.
type testServer struct {
	*Server
	hub  *siaran.Hub
	port *mediaport.Socket
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// testOutput takes the server's log: INGEST_TEST_LOG shows it.
func testOutput() io.Writer {
	if os.Getenv("INGEST_TEST_LOG") != "" {
		return os.Stderr
	}
	return io.Discard
}

// start runs a server for the test. TestMain sees to it that nothing of it is left afterwards.
func start(t testing.TB, edit func(*Config)) *testServer {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(testOutput(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	port, err := mediaport.Open("127.0.0.1:0", mediaport.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Port: port, Addresses: port.Addresses, Certificate: testutil.Certificate(t), Logger: logger,
		SetupTimeout: testutil.Patience,
		absence:      time.Minute, // a busy machine is not a parent that is gone
	}
	if edit != nil {
		edit(&cfg)
	}
	hub := siaran.NewHub(3*time.Second, codec.NewFramer)
	s, err := New(hub, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		hub.Close()
		port.Close()
	})
	return &testServer{s, hub, port}
}

// broadcaster is a pion client.
type broadcaster struct {
	t      testing.TB
	pc     *webrtc.PeerConnection
	audio  *webrtc.TrackLocalStaticRTP
	video  *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender // of video
	raw    *rawTrack         // instead of video, when asked for
	answer siaran.Answer
}

type clientOptions struct {
	video    string // MIME type; none when empty
	raw      bool   // video is sent packet by packet, with any header
	noAudio  bool
	setting  func(*webrtc.SettingEngine)
	deaf     bool // the test itself reads RTCP about video
	engine   func(*webrtc.MediaEngine)
	registry *interceptor.Registry
	offer    func(string) string // edits what the server sees
	answer   func(string) string // edits what the client sees
}

func newClient(t testing.TB, o clientOptions) *broadcaster {
	t.Helper()
	b := &broadcaster{t: t}
	var engine webrtc.MediaEngine
	if err := engine.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{uriMid, uriRID, uriRepairedRID} {
		if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri},
			webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	if o.engine != nil {
		o.engine(&engine)
	}
	if o.registry == nil {
		o.registry = &interceptor.Registry{}
	}
	var setting webrtc.SettingEngine
	setting.SetIncludeLoopbackCandidate(true)
	setting.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	setting.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if o.setting != nil {
		o.setting(&setting)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&engine), webrtc.WithInterceptorRegistry(o.registry),
		webrtc.WithSettingEngine(setting))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	b.pc = pc
	t.Cleanup(func() { pc.GracefulClose() })
	if !o.noAudio {
		b.audio, _ = b.addTrack(webrtc.MimeTypeOpus, "audio")
	}
	switch {
	case o.raw:
		b.raw = &rawTrack{mime: o.video, bound: make(chan struct{})}
		b.sender = b.add(b.raw, o.video)
	case o.video != "":
		b.video, b.sender = b.addTrack(o.video, "video")
	}
	for _, sender := range pc.GetSenders() {
		if sender != b.sender || !o.deaf {
			go readAll(sender)
		}
	}
	return b
}

// readAll lets interceptors see what comes back, until the sender ends.
func readAll(sender *webrtc.RTPSender) {
	buf := make([]byte, 1500)
	for {
		if _, _, err := sender.Read(buf); err != nil {
			return
		}
	}
}

func (b *broadcaster) addTrack(mime, id string) (*webrtc.TrackLocalStaticRTP, *webrtc.RTPSender) {
	b.t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, id, "stream")
	if err != nil {
		b.t.Fatal(err)
	}
	return track, b.add(track, mime)
}

func (b *broadcaster) add(track webrtc.TrackLocal, mime string) *webrtc.RTPSender {
	b.t.Helper()
	sendOnly := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	tr, err := b.pc.AddTransceiverFromTrack(track, sendOnly)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := tr.SetCodecPreferences(codecsOf(mime, tr.Sender().GetParameters().Codecs)); err != nil {
		b.t.Fatal(err)
	}
	return tr.Sender()
}

// codecsOf are the codecs of a type with their retransmissions.
func codecsOf(mime string, all []webrtc.RTPCodecParameters) []webrtc.RTPCodecParameters {
	var list []webrtc.RTPCodecParameters
	for _, c := range all {
		if !strings.EqualFold(c.MimeType, mime) {
			continue
		}
		list = append(list, c)
		for _, rtx := range all {
			if rtx.SDPFmtpLine == fmt.Sprintf("apt=%d", c.PayloadType) {
				list = append(list, rtx)
			}
		}
	}
	return list
}

// offer is the client's offer with all its candidates.
func (b *broadcaster) offer() string {
	b.t.Helper()
	offer, err := b.pc.CreateOffer(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(b.pc)
	if err := b.pc.SetLocalDescription(offer); err != nil {
		b.t.Fatal(err)
	}
	<-gathered
	return b.pc.LocalDescription().SDP
}

// publish connects a client to the server.
func publish(t testing.TB, s *testServer, stream siaran.StreamName, o clientOptions) *broadcaster {
	t.Helper()
	b := newClient(t, o)
	offer := b.offer()
	if o.offer != nil {
		offer = o.offer(offer)
	}
	connected := make(chan struct{}, 1)
	b.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			poke(connected)
		}
	})
	answer, err := s.Offer(context.Background(), stream, "owner", netip.Addr{}, []byte(offer))
	if err != nil {
		t.Fatal(err)
	}
	b.answer = answer
	text := string(answer.SDP)
	if o.answer != nil {
		text = o.answer(text)
	}
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}); err != nil {
		t.Fatalf("the client does not like the answer: %v\n%s", err, text)
	}
	select {
	case <-connected:
	case <-time.After(testutil.Patience):
		t.Fatal("the client did not connect")
	}
	testutil.Eventually(t, "the server to see the connection", func() bool {
		h, ok := s.Health(stream)
		return ok && h.Connected
	})
	return b
}

// live waits for the stream to be live.
func (s *testServer) live(t testing.TB, stream siaran.StreamName) *siaran.Broadcast {
	t.Helper()
	var b *siaran.Broadcast
	testutil.Eventually(t, "the stream to be live", func() bool {
		var err error
		b, err = s.hub.Broadcast(stream)
		return err == nil && b.State().Status == siaran.StatusLive
	})
	return b
}

// follow returns the packets of a layer as they come, from its first one on, until it has n.
func follow(t testing.TB, l *siaran.Layer, n int) []*siaran.Packet {
	t.Helper()
	wake := make(chan struct{}, 1)
	defer l.Follow(wake)()
	deadline := time.After(testutil.Patience)
	var list []*siaran.Packet
	for seq := l.Tail(); len(list) < n; {
		for ; seq < l.Head() && len(list) < n; seq++ {
			if p := l.Get(seq); p != nil {
				list = append(list, p)
			}
		}
		if len(list) == n {
			break
		}
		select {
		case <-wake:
		case <-deadline:
			t.Fatalf("%d of %d packets came", len(list), n)
		}
	}
	return list
}

var (
	testSPS = must(base64.StdEncoding.DecodeString("Z0LAHtoCgL/lwFqDAwNSgAAAAwCAAAAeR4sXUA=="))
	testPPS = must(base64.StdEncoding.DecodeString("aM48gA=="))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// vp8 is the payload of a whole VP8 frame in one packet, 64 by 48 pixels, told apart by n.
func vp8(key bool, n int) []byte {
	body := []byte{byte(n), byte(n >> 8), byte(n >> 16)}
	if key {
		return append([]byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 48, 0}, body...)
	}
	return append([]byte{0x10, 0x11, 0, 0}, body...)
}

// h264 are the payloads of a whole H264 frame.
func h264(key bool, n int) [][]byte {
	body := []byte{byte(n), byte(n >> 8), byte(n >> 16)}
	if key {
		return [][]byte{testSPS, testPPS, append([]byte{0x65, 0x88, 0x84}, body...)}
	}
	return [][]byte{append([]byte{0x41, 0x9a, 0x24}, body...)}
}

// rtpPacket makes a packet for a track, which sets SSRC and payload type itself.
func rtpPacket(seq uint16, timestamp uint32, marker bool, payload []byte) *rtp.Packet {
	return &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: timestamp, Marker: marker},
		Payload: payload}
}

// rawTrack sends packets with whatever SSRC, payload type and extensions they have.
type rawTrack struct {
	mime  string
	bound chan struct{}
	out   webrtc.TrackLocalWriter
	pt    uint8
}

func (r *rawTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	codecs := codecsOf(r.mime, c.CodecParameters())
	if len(codecs) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	r.out, r.pt = c.WriteStream(), uint8(codecs[0].PayloadType)
	close(r.bound)
	return codecs[0], nil
}

func (r *rawTrack) Unbind(webrtc.TrackLocalContext) error { return nil }
func (r *rawTrack) ID() string                            { return "video" }
func (r *rawTrack) RID() string                           { return "" }
func (r *rawTrack) StreamID() string                      { return "stream" }
func (r *rawTrack) Kind() webrtc.RTPCodecType             { return webrtc.RTPCodecTypeVideo }

func (r *rawTrack) write(t testing.TB, p *rtp.Packet) {
	t.Helper()
	<-r.bound
	if _, err := r.out.WriteRTP(&p.Header, p.Payload); err != nil {
		t.Fatal(err)
	}
}

// badNetwork is a broadcaster's socket on which datagrams can be lost.
type badNetwork struct {
	net.PacketConn
	drop func(datagram []byte) bool // of those that are sent
	dead atomic.Bool                // nothing goes through either way
}

// onBadNetwork makes a client use it.
func onBadNetwork(t testing.TB, drop func([]byte) bool) (*badNetwork, func(*webrtc.SettingEngine)) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &badNetwork{PacketConn: conn, drop: drop}
	mux := webrtc.NewICEUDPMux(nil, n)
	t.Cleanup(func() { mux.Close() })
	return n, func(e *webrtc.SettingEngine) { e.SetICEUDPMux(mux) }
}

func (n *badNetwork) WriteTo(b []byte, to net.Addr) (int, error) {
	if n.dead.Load() || n.drop != nil && n.drop(b) {
		return len(b), nil
	}
	return n.PacketConn.WriteTo(b, to)
}

func (n *badNetwork) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		k, from, err := n.PacketConn.ReadFrom(b)
		if err != nil || !n.dead.Load() {
			return k, from, err
		}
	}
}

// isMedia tells RTP from all else on the socket, and gives its sequence number.
func isMedia(b []byte) (uint16, bool) {
	if len(b) < 12 || b[0]>>6 != 2 || b[1] >= 192 && b[1] <= 223 {
		return 0, false
	}
	return uint16(b[2])<<8 | uint16(b[3]), true
}
