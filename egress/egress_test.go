package egress_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/egress"
	"siaran/internal/codec"
	"siaran/internal/testutil"
	"siaran/mediaport"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

// stage is a hub with one live stream, and an egress that serves it.
type stage struct {
	t      testing.TB
	hub    *siaran.Hub
	server *egress.Server
	socket *mediaport.Socket
	pub    *siaran.Publication
	seq    int64
	audio  int64
	time   int64 // of the newest frame
	start  time.Time
	from   netip.Addr // where offers come from
	child  bool       // they come from a server

	answered func() // called after each offer that has an answer
}

const stream = siaran.StreamName("cats")

func newStage(t testing.TB, video siaran.CodecName) *stage {
	t.Helper()
	return newStageAt(t, "127.0.0.1:0", video)
}

func newStageAt(t testing.TB, address string, video siaran.CodecName, change ...func(*egress.Config)) *stage {
	t.Helper()
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	socket, err := mediaport.Open(address, mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := egress.Config{Certificate: testutil.Certificate(t), SetupTimeout: time.Minute, MaxSetups: 1000}
	for _, f := range change {
		f(&cfg)
	}
	server, err := egress.New(hub, socket, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{
		t: t, hub: hub, server: server, socket: socket,
		seq: 65000, audio: 65400, time: 1<<32 - 40*1800, start: time.Now(),
	}
	s.publish(video)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		hub.Close()
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *stage) publish(video siaran.CodecName) {
	s.t.Helper()
	pub, err := s.hub.Publish(stream, "me", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2, FMTP: "stereo=1"}},
		{Codec: siaran.Codec{Name: video, ClockRate: 90000}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.pub = pub
}

// frame writes a VP8 frame of some packets, each of which carries its number within the stream.
func (s *stage) frame(key bool, packets int) {
	s.t.Helper()
	now := time.Now()
	s.time += 1800
	w := s.pub.Writer(siaran.KindVideo, "")
	for i := range packets {
		payload := make([]byte, 1000)
		if i == 0 {
			payload[0] = 0x10
			payload[1] = 1
			if key {
				copy(payload[1:], []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00})
			}
		}
		binary.BigEndian.PutUint32(payload[100:], uint32(s.seq))
		if err := w.Write(s.seq, s.time, i == packets-1, payload, now); err != nil {
			s.t.Fatal(err)
		}
		s.seq++
	}
}

func (s *stage) sound() {
	s.t.Helper()
	now := time.Now()
	timestamp := now.Sub(s.start).Milliseconds() * 48
	if err := s.pub.Writer(siaran.KindAudio, "").Write(s.audio, timestamp, false, make([]byte, 80), now); err != nil {
		s.t.Fatal(err)
	}
	s.audio++
}

// play writes frames until the test ends, with a key frame every so many.
func (s *stage) play(every, packets int) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			case <-tick.C:
				s.frame(every > 0 && n%every == 0, packets)
				s.sound()
			}
		}
	})
	return sync.OnceFunc(func() { close(done); wg.Wait() })
}

// peer is a viewer made of pion's PeerConnection.
type peer struct {
	t       testing.TB
	pc      *webrtc.PeerConnection
	id      siaran.SessionID
	video   chan *rtp.Packet
	audio   chan *rtp.Packet
	state   chan webrtc.PeerConnectionState
	readers sync.WaitGroup
}

func watch(t testing.TB, s *stage, settings webrtc.SettingEngine) *peer {
	t.Helper()
	return watchWith(t, s, settings, func(offer string) string { return offer })
}

// watchWith lets edit change what the server sees of the offer.
func watchWith(t testing.TB, s *stage, settings webrtc.SettingEngine, edit func(string) string) *peer {
	t.Helper()
	p := &peer{
		t:     t,
		video: make(chan *rtp.Packet, 1<<14),
		audio: make(chan *rtp.Packet, 1<<12),
		state: make(chan webrtc.PeerConnectionState, 32),
	}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNet(testutil.RoomyNet(t))
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	registry := &interceptor.Registry{}
	// It asks for what is missing however much has come since, as happens when the machine stands still.
	asking, err := nack.NewGeneratorInterceptor(nack.GeneratorSize(1 << 14))
	if err != nil {
		t.Fatal(err)
	}
	for _, feedback := range []string{"", "pli"} {
		media.RegisterFeedback(webrtc.RTCPFeedback{Type: "nack", Parameter: feedback}, webrtc.RTPCodecTypeVideo)
	}
	registry.Add(asking)
	if err := errors.Join(webrtc.ConfigureRTCPReports(registry), webrtc.ConfigureTWCCSender(media, registry)); err != nil {
		t.Fatal(err)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media),
		webrtc.WithInterceptorRegistry(registry))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	p.pc = pc
	pc.OnConnectionStateChange(func(st webrtc.PeerConnectionState) { p.state <- st })
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		p.readers.Add(1)
		defer p.readers.Done()
		to := p.video
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			to = p.audio
		}
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			select {
			case to <- packet:
			default:
			}
		}
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		receive := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := pc.AddTransceiverFromKind(kind, receive); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	answer, err := s.offer([]byte(edit(pc.LocalDescription().SDP)))
	if err != nil {
		t.Fatal(err)
	}
	p.id = answer.Session
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer.SDP)}
	if err := pc.SetRemoteDescription(description); err != nil {
		t.Fatalf("%v in\n%s", err, answer.SDP)
	}
	t.Cleanup(p.close)
	return p
}

func (s *stage) offer(text []byte) (siaran.Answer, error) {
	if s.child {
		return s.server.OfferToChild(context.Background(), stream, "key:relay edge", text)
	}
	answer, err := s.server.Offer(context.Background(), stream, "", s.from, text)
	if err == nil && s.answered != nil {
		s.answered()
	}
	return answer, err
}

func (p *peer) close() {
	if err := p.pc.Close(); err != nil {
		p.t.Error(err)
	}
	p.readers.Wait()
}

func (p *peer) next(from chan *rtp.Packet) *rtp.Packet {
	p.t.Helper()
	select {
	case packet := <-from:
		return packet
	case <-time.After(testutil.Patience):
		p.t.Fatal("no packet came")
		return nil
	}
}

func (p *peer) waitState(want webrtc.PeerConnectionState) {
	p.t.Helper()
	deadline := time.After(testutil.Patience)
	for {
		select {
		case st := <-p.state:
			if st == want {
				return
			}
		case <-deadline:
			p.t.Fatalf("the connection did not become %s", want)
		}
	}
}

func number(p *rtp.Packet) uint32 { return binary.BigEndian.Uint32(p.Payload[100:]) }

func TestViewerStartsFromCachedKeyframe(t *testing.T) {
	s := newStage(t, siaran.VP8)
	first := uint32(s.seq)
	s.frame(true, 20)
	for range 50 {
		s.frame(false, 3)
	}
	s.sound()
	v := watch(t, s, webrtc.SettingEngine{})
	stop := s.play(0, 3)
	defer stop()
	var last *rtp.Packet
	for i := range uint32(300) {
		p := v.next(v.video)
		if number(p) != first+i {
			t.Fatalf("packet %d carries %d, want %d", i, number(p), first+i)
		}
		if last != nil {
			if p.SequenceNumber != last.SequenceNumber+1 {
				t.Fatalf("sequence number %d after %d", p.SequenceNumber, last.SequenceNumber)
			}
			step := int32(p.Timestamp - last.Timestamp)
			if last.Marker && step <= 0 || !last.Marker && step != 0 {
				t.Fatalf("timestamp moved by %d, marker before it %v", step, last.Marker)
			}
		}
		last = p
	}
	if v.next(v.audio).SSRC == last.SSRC {
		t.Error("audio and video share an SSRC")
	}
}

func TestIPv6(t *testing.T) {
	s := newStageAt(t, "[::1]:0", siaran.VP8)
	s.frame(true, 2)
	stop := s.play(10, 2)
	defer stop()
	var e webrtc.SettingEngine
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP6})
	v := watch(t, s, e)
	for range 20 {
		v.next(v.video)
	}
}

func TestViewerEndsBothWays(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	stop := s.play(10, 2)
	defer stop()
	b, err := s.hub.Broadcast(stream)
	if err != nil {
		t.Fatal(err)
	}

	v := watch(t, s, webrtc.SettingEngine{})
	v.next(v.video)
	if n := b.State().Viewers; n != 1 {
		t.Errorf("%d viewers, want 1", n)
	}
	testutil.Eventually(t, "what it gets is counted", func() bool {
		w := s.server.Work()
		return w.Workers == 1 && w.Packets > 0 && w.Bytes >= w.Packets
	})
	if err := s.server.End(v.id); err != nil {
		t.Fatal(err)
	}
	if n := b.State().Viewers; n != 0 {
		t.Errorf("%d viewers after the end, want 0", n)
	}
	if err := s.server.End(v.id); err == nil {
		t.Error("a session ended twice")
	}

	// The other way: the viewer says goodbye with close_notify.
	v = watch(t, s, webrtc.SettingEngine{})
	v.next(v.video)
	v.close()
	testutil.Eventually(t, "the viewer that left is still counted", func() bool { return b.State().Viewers == 0 })

	// Most pages close the connection first and send the DELETE then.
	testutil.Eventually(t, "the session that ended is still there", func() bool { return s.server.Stats().Sessions == 0 })
	testutil.Eventually(t, "its worker has nothing to do", func() bool { return s.server.Work().Workers == 0 })
	if info, err := s.server.Session(v.id); err != nil || info.Stream != stream {
		t.Errorf("%+v, %v", info, err)
	}
	if err := s.server.End(v.id); err != nil {
		t.Errorf("ending what has just hung up: %v", err)
	}
	if err := s.server.End(v.id); !errors.Is(err, siaran.ErrUnknownSession) {
		t.Errorf("ending it twice: %v", err)
	}
}

func TestBroadcastEndSendsViewersAway(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	s.sound()
	v := watch(t, s, webrtc.SettingEngine{})
	v.next(v.video)
	s.pub.Stop()
	testutil.Eventually(t, "the viewer stayed after the broadcast's end",
		func() bool { return s.server.Stats().Sessions == 0 })
	if _, err := s.server.Session(v.id); err == nil {
		t.Error("the session is still there")
	}
}
