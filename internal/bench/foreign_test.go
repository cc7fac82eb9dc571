package bench

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/srtp/v2"
	"github.com/pion/stun"
)

const goodAnswer = "v=0\r\n" +
	"o=- 1 1 IN IP4 127.0.0.1\r\n" +
	"s=-\r\n" +
	"t=0 0\r\n" +
	"a=group:BUNDLE 0 1\r\n" +
	"a=ice-lite\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" +
	"c=IN IP4 0.0.0.0\r\n" +
	"a=mid:0\r\n" +
	"a=ice-ufrag:abcd\r\n" +
	"a=ice-pwd:0123456789abcdef012345\r\n" +
	"a=fingerprint:sha-256 00:11\r\n" +
	"a=setup:passive\r\n" +
	"a=sendonly\r\n" +
	"a=rtpmap:111 opus/48000/2\r\n" +
	"a=candidate:1 1 udp 100 10.0.0.1 4000 typ host\r\n" +
	"a=candidate:2 1 tcp 900 10.0.0.1 4000 typ host tcptype passive\r\n" +
	"a=candidate:3 1 UDP 200 127.0.0.1 4001 typ host generation 0\r\n" +
	"a=candidate:3 2 UDP 200 127.0.0.1 4002 typ host\r\n" +
	"a=candidate:4 1 udp 300 1f2e.local 4001 typ host\r\n" +
	"a=candidate:junk\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n" +
	"c=IN IP4 0.0.0.0\r\n" +
	"a=mid:1\r\n" +
	"a=sendonly\r\n" +
	"a=rtpmap:96 H264/90000\r\n" +
	"a=rtpmap:97 rtx/90000\r\n" +
	"a=rtpmap:99 VP8/90000\r\n" +
	"a=candidate:1 1 udp 100 10.0.0.1 4000 typ host\r\n"

func TestParseAnswer(t *testing.T) {
	a, err := parseAnswer([]byte(goodAnswer))
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:4001"), netip.MustParseAddrPort("10.0.0.1:4000")}
	if !slices.Equal(a.candidates, want) {
		t.Errorf("candidates %v", a.candidates)
	}
	if a.active || !a.video || a.remote.ufrag != "abcd" || len(a.fingerprints) != 1 {
		t.Errorf("%+v", a)
	}
	if len(a.formats) != 3 || a.formats[96] != "H264" || a.formats[97] != "RTX" || a.formats[111] != "OPUS" {
		t.Errorf("formats %v", a.formats)
	}
}

func TestParseAnswerWithTransportAtSessionLevel(t *testing.T) {
	const (
		session = "a=ice-ufrag:sess\r\na=ice-pwd:0123456789abcdef012345\r\n" +
			"a=fingerprint:SHA-256 22:33\r\na=setup:active\r\n"
		section = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef012345\r\n" +
			"a=fingerprint:sha-256 00:11\r\na=setup:passive\r\n"
	)
	moved := strings.NewReplacer("a=ice-lite\r\n", session, section, "").Replace(goodAnswer)
	a, err := parseAnswer([]byte(moved))
	if err != nil {
		t.Fatal(err)
	}
	if !a.active || a.remote.ufrag != "sess" || a.fingerprints[0].Algorithm != "sha-256" {
		t.Errorf("%+v", a)
	}
}

func TestParseAnswerSaysWhatIsMissing(t *testing.T) {
	for cut, want := range map[string]string{
		"a=ice-ufrag:abcd\r\n":                  "credentials",
		"a=fingerprint:sha-256 00:11\r\n":       "fingerprint",
		"m=":                                    "refuses",
		"udp 100 10.0.0.1\x00UDP 200 127.0.0.1": "candidate",
	} {
		text := goodAnswer
		for _, part := range strings.Split(cut, "\x00") {
			switch {
			case part == "m=":
				text = strings.NewReplacer("m=audio 9", "m=audio 0", "m=video 9", "m=video 0").Replace(text)
			case strings.Contains(part, "0"):
				text = strings.ReplaceAll(text, part, strings.Replace(part, ".0.0.1", ".0.0.name", 1))
				if strings.HasPrefix(part, "a=") {
					text = strings.Replace(text, part, "", 1)
				}
			default:
				text = strings.Replace(text, part, "", 1)
			}
		}
		if _, err := parseAnswer([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %q: %v, want something about %s", cut, err, want)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(goodAnswer))
	f.Add([]byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 X 1\r\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		if len(a.candidates) == 0 || len(a.candidates) > maxCandidates || a.remote.pwd == "" || len(a.formats) > 64 {
			t.Errorf("%+v", a)
		}
	})
}

func TestOfferIsUnderstood(t *testing.T) {
	own := credentials{"abcdefgh", "0123456789abcdef01234567"}
	text, err := viewerOffer(own, fingerprintOf([]byte("x")), netip.MustParseAddrPort("127.0.0.1:5000"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseAnswer(text) // an offer has everything that an answer has
	if err != nil {
		t.Fatal(err)
	}
	formats := 1 + 2*len(offeredVideo)
	if len(a.candidates) != 1 || a.formats[97] != "RTX" || a.formats[111] != "OPUS" || len(a.formats) != formats {
		t.Errorf("%+v", a)
	}
}

// answerCheck answers the check of an agent as a lite agent does.
func answerCheck(t *testing.T, check []byte, pwd string, from netip.AddrPort) []byte {
	t.Helper()
	m := &stun.Message{Raw: check}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	key := stun.NewShortTermIntegrity(pwd)
	if err := key.Check(m); err != nil {
		t.Fatal(err)
	}
	r, err := stun.Build(
		stun.NewTransactionIDSetter(m.TransactionID),
		stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())},
		key,
		stun.Fingerprint,
	)
	if err != nil {
		t.Fatal(err)
	}
	return r.Raw
}

func TestAgentTakesTheFirstThatAnswers(t *testing.T) {
	dead, alive := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2")
	a := newAgent(credentials{"me", "mypassword"}, credentials{"you", "yourpassword"}, []netip.AddrPort{dead, alive}, 7)
	if _, to := a.next(0); to != dead {
		t.Fatal("the first candidate is not the first")
	}
	check, to := a.next(1)
	if to != alive {
		t.Fatal("the second candidate is not the second")
	}
	answer := answerCheck(t, check, "yourpassword", alive)
	if reply, selected := a.handle(answer, dead, 1); reply != nil || selected {
		t.Error("an answer from another address is accepted")
	}
	nomination, selected := a.handle(answer, alive, 2)
	if nomination == nil || selected {
		t.Fatal("no nomination")
	}
	m := &stun.Message{Raw: nomination}
	if err := m.Decode(); err != nil || !m.Contains(stun.AttrUseCandidate) || !m.Contains(stun.AttrICEControlling) {
		t.Error("the reply is not a nomination")
	}
	reply, selected := a.handle(answerCheck(t, nomination, "yourpassword", alive), alive, 3)
	if reply != nil || !selected || a.selected != alive {
		t.Error("the nominated address is not selected")
	}
}

func TestAgentAnswersAFullAgent(t *testing.T) {
	server := netip.MustParseAddrPort("10.0.0.2:2")
	a := newAgent(credentials{"me", "mypassword"}, credentials{"you", "yourpassword"}, []netip.AddrPort{server}, 7)
	for pwd, want := range map[string]bool{"mypassword": true, "wrong": false} {
		m, err := stun.Build(
			stun.TransactionID,
			stun.BindingRequest,
			stun.NewUsername("me:you"),
			stun.NewShortTermIntegrity(pwd),
			stun.Fingerprint,
		)
		if err != nil {
			t.Fatal(err)
		}
		if reply, _ := a.handle(m.Raw, server, 1); (reply != nil) != want {
			t.Errorf("password %q: answered %v", pwd, reply != nil)
		}
	}
}

func FuzzViewerReceives(f *testing.F) {
	from := netip.MustParseAddrPort("127.0.0.1:1")
	me, you := credentials{"me", "mypassword"}, credentials{"you", "yourpassword"}
	f.Add(newAgent(you, me, []netip.AddrPort{from}, 1).check(from, true))
	f.Add([]byte{0x80, 96, 0, 64, 0, 0, 0, 1, 0, 0, 0, 2, 0x65, 1, 2, 3})
	f.Add([]byte{0x81, 201, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Add([]byte{21, 254, 253, 0, 0})
	a, err := parseAnswer([]byte(goodAnswer))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		c := &audience{stamper: newStamper()}
		v := newViewer(c, true, me, 1)
		v.socket = nowhere{}
		v.begin(a, 1)
		v.receive(b, from)
		profile := srtp.ProtectionProfileNullHmacSha1_80
		in, err := srtp.CreateContext(make([]byte, 16), make([]byte, 14), profile, srtp.SRTPNoEncryption())
		if err != nil {
			return
		}
		v.in = in
		v.receive(b, from)
		// Authenticated packets come from the server, and are untrusted all the same.
		if n, err := v.header.Unmarshal(b); err == nil {
			if s := v.source(); s != nil {
				v.packet(s, b[n:], 1)
			}
		}
	})
}

// nowhere is a socket that discards what is sent.
type nowhere struct{}

func (nowhere) localPort() uint16             { return 1 }
func (nowhere) sendTo([]byte, netip.AddrPort) {}
func (nowhere) connect(netip.AddrPort) error  { return nil }
func (nowhere) send([]byte)                   {}
func (nowhere) sample(bool)                   {}
func (nowhere) dropped() uint64               { return 0 }
func (nowhere) close()                        {}

func TestBeginsKeyframe(t *testing.T) {
	vp8 := func(key byte) []byte {
		return append((&codecs.VP8Payloader{}).Payload(1000, []byte{key, 0, 0, 0x9d, 1, 0x2a, 0, 0, 0, 0})[0], 0)
	}
	for _, c := range []struct {
		codec   string
		payload []byte
		want    bool
	}{
		{"H264", []byte{0x65, 1}, true}, {"H264", []byte{0x67, 1}, true},
		{"H264", []byte{0x41, 1}, false}, {"H264", []byte{0x65}, false},
		{"H264", parameterSets(), true}, {"H264", []byte{0x78, 0, 2, 0x41, 1, 0, 2, 0x65, 1}, true},
		{"H264", []byte{0x78, 0xff, 0xff, 0x41}, false},
		{"H264", []byte{0x7c, 0x85}, true}, {"H264", []byte{0x7c, 0x05}, false}, {"H264", []byte{0x7c, 0x81}, false},
		{"H265", []byte{19 << 1, 1, 0}, true}, {"H265", []byte{1 << 1, 1, 0}, false}, {"H265", []byte{32 << 1, 1}, true},
		{"H265", []byte{49 << 1, 1, 0x80 | 20}, true}, {"H265", []byte{49 << 1, 1, 20}, false},
		{"H265", []byte{48 << 1, 1, 0, 2, 33 << 1, 1}, true}, {"H265", []byte{48 << 1, 1, 0, 2, 1 << 1, 1}, false},
		{"VP8", vp8(0x10), true}, {"VP8", vp8(0x11), false},
		{"VP9", []byte{0x88, 1, 0}, true}, {"VP9", []byte{0xc8, 1, 0}, false},
		{"AV1", []byte{0x08, 1}, true}, {"AV1", []byte{0x88, 1}, false}, {"AV1", []byte{0x10, 1}, false},
		{"OPUS", []byte{0x65, 1}, false},
	} {
		if got := beginsKeyframe(c.codec, c.payload); got != c.want {
			t.Errorf("%s % x: %v", c.codec, c.payload, got)
		}
	}
}

func TestFirstKeyframeIsComplete(t *testing.T) {
	type packet struct {
		n    int64
		time uint32
		key  bool
		end  bool
	}
	for name, c := range map[string]struct {
		packets []packet
		whole   int // the packet that completes the frame, -1 for none
	}{
		"in order":          {[]packet{{1, 1, false, true}, {2, 2, true, false}, {3, 2, true, false}, {4, 2, true, true}}, 3},
		"out of order":      {[]packet{{2, 2, true, false}, {4, 2, true, true}, {3, 2, true, false}}, 2},
		"beginning late":    {[]packet{{3, 2, true, false}, {4, 2, true, true}, {2, 2, true, false}}, 1},
		"with a loss":       {[]packet{{2, 2, true, false}, {4, 2, true, true}, {5, 3, false, true}}, -1},
		"loss, and another": {[]packet{{2, 2, true, false}, {4, 2, true, true}, {5, 3, true, false}, {6, 3, true, true}}, 3},
		"repeated":          {[]packet{{2, 2, true, false}, {2, 2, true, false}, {3, 2, true, true}}, 2},
	} {
		var f firstKeyframe
		got := -1
		for i, p := range c.packets {
			payload := []byte{0x41, 1}
			if p.key {
				payload[0] = 0x65
			}
			if f.see("H264", p.n, p.time, p.end, payload) && got < 0 {
				got = i
			}
		}
		if got != c.whole {
			t.Errorf("%s: complete with packet %d, want %d", name, got, c.whole)
		}
	}
}

func FuzzBeginsKeyframe(f *testing.F) {
	for i, codec := range []string{"H264", "H265", "VP8", "VP9", "AV1"} {
		f.Add(codec, parameterSets())
		f.Add(codec, []byte{0x7c, 0x85, byte(i)})
		f.Add(codec, []byte{48 << 1, 1, 0, 2, 33 << 1, 1})
	}
	f.Fuzz(func(_ *testing.T, codec string, payload []byte) {
		beginsKeyframe(codec, payload)
	})
}

func TestSilenceIsOpus(t *testing.T) {
	var p codecs.OpusPacket
	if b, err := p.Unmarshal(silence()); err != nil || len(b) != soundBytes {
		t.Error(err)
	}
}

func TestPacketsFit(t *testing.T) {
	header := rtp.Header{Version: 2}
	if got := header.MarshalSize() + maxPayload + 16; got > 1200 {
		t.Errorf("%d bytes", got)
	}
	var v videoTrack
	v.publisher = &publisher{stamper: newStamper()}
	b := append(parameterSets(), v.stampUnit()...)
	v.publisher.stamper.put(b[len(parameterSets())+stampUnitHeader:], 9, time.Second)
	if n, _, ok := v.publisher.stamper.find(b); !ok || n != 9 || b[len(b)-1] != 0x80 {
		t.Error("the stamp of the parameter sets is in the wrong place")
	}
}
