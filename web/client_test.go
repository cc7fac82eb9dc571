package web

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"siaran/internal/testutil"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran"
)

// peer is a client built on pion's PeerConnection: a broadcaster or a viewer.
type peer struct {
	site     *site
	pc       *webrtc.PeerConnection
	header   []string // of its offer, names and values in turn
	location string
	tag      string
	packets  atomic.Int64 // received
	running  sync.WaitGroup
	stop     func()
}

func (s *site) newPeer() *peer {
	s.t.Helper()
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	media := &webrtc.MediaEngine{}
	s.must(media.RegisterCodec(webrtc.RTPCodecParameters{ // the only one, so that it is the one that is chosen
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000,
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}},
		PayloadType: 96,
	}, webrtc.RTPCodecTypeVideo))
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine),
		webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	s.must(err)
	done := make(chan struct{})
	p := &peer{site: s, pc: pc}
	p.stop = sync.OnceFunc(func() {
		close(done)
		if err := pc.GracefulClose(); err != nil {
			s.t.Error(err)
		}
		p.running.Wait()
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		p.running.Go(func() {
			for {
				if _, _, err := receiver.ReadRTCP(); err != nil {
					return
				}
			}
		})
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			p.packets.Add(1)
		}
	})
	s.t.Cleanup(p.stop)
	return p
}

// broadcaster returns a peer without a session, which sends video in a loop once it is connected.
func (s *site) broadcaster() *peer {
	s.t.Helper()
	p := s.newPeer()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8,
		ClockRate: 90000}, "video", "me")
	s.must(err)
	sender, err := p.pc.AddTrack(track)
	s.must(err)
	p.running.Go(func() {
		for {
			if _, _, err := sender.ReadRTCP(); err != nil {
				return
			}
		}
	})
	packets := recorded(s.t, "vp8")
	ended := make(chan struct{})
	stop := p.stop
	p.stop = sync.OnceFunc(func() { close(ended); stop() })
	s.t.Cleanup(p.stop)
	p.running.Go(func() {
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			case <-tick.C:
				loop, i := n/len(packets), n%len(packets)
				_ = track.WriteRTP(&rtp.Packet{ // an error tells that nobody is connected
					Header: rtp.Header{Version: 2, SequenceNumber: uint16(n),
						Timestamp: uint32(int64(loop)*90000 + packets[i].timestamp), Marker: packets[i].marker},
					Payload: packets[i].payload,
				})
			}
		}
	})
	return p
}

// viewer returns a peer without a session.
func (s *site) viewer() *peer {
	s.t.Helper()
	p := s.newPeer()
	_, err := p.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	s.must(err)
	return p
}

// open sends the offer with all candidates, and applies the answer.
func (p *peer) open(path, token string) reply {
	s := p.site
	s.t.Helper()
	offer, err := p.pc.CreateOffer(nil)
	s.must(err)
	gathered := webrtc.GatheringCompletePromise(p.pc)
	s.must(p.pc.SetLocalDescription(offer))
	<-gathered
	r := s.do(call{method: "POST", path: path, token: token, body: p.pc.LocalDescription().SDP}.with(sdpBody...).
		with(p.header...))
	if r.StatusCode == http.StatusCreated {
		s.must(p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.body}))
		p.location, p.tag = r.Header.Get("Location"), r.Header.Get("ETag")
	}
	return r
}

// mustOpen is open, and fails the test if there is no session.
func (p *peer) mustOpen(path, token string) {
	p.site.t.Helper()
	if r := p.open(path, token); r.StatusCode != http.StatusCreated {
		p.site.t.Fatalf("%d %s", r.StatusCode, r.body)
	}
}

// onlyViewer waits until a stream has one viewer, and returns its id.
func (s *site) onlyViewer(stream, token string) (id string) {
	s.t.Helper()
	testutil.Eventually(s.t, "the viewer is listed", func() bool {
		var list struct{ Viewers []struct{ ID string } }
		if s.get("/api/streams/"+stream+"/viewers", token, &list); len(list.Viewers) != 1 {
			return false
		}
		id = list.Viewers[0].ID
		return true
	})
	return id
}

// offerValue returns the value of an attribute in the peer's own offer.
func (p *peer) offerValue(attribute string) string {
	for line := range strings.Lines(p.pc.LocalDescription().SDP) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "a="+attribute+":"); found {
			return value
		}
	}
	return ""
}

// onAir opens a broadcast and waits until it is listed.
func (s *site) onAir(stream, token string) *peer {
	s.t.Helper()
	p := s.broadcaster()
	p.mustOpen("/whip/"+stream, token)
	s.listed(stream, siaran.StatusLive)
	return p
}

func TestBroadcastAndWatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	cats := s.publisher("cats")
	b := s.onAir("cats", cats)
	v := s.viewer()
	r := v.open("/whep/cats", "")
	if r.StatusCode != 201 || r.Header.Get("Content-Type") != "application/sdp" ||
		!strings.HasPrefix(v.location, "/whep/cats/") || strings.Contains(v.location, "?") {
		t.Fatalf("%d %v %s", r.StatusCode, r.Header, r.body)
	}
	if len(strings.TrimPrefix(v.location, "/whep/cats/")) < 43 {
		t.Errorf("the session id is short: %s", v.location)
	}
	if !strings.HasPrefix(v.tag, `"`) || !strings.HasSuffix(v.tag, `"`) || len(v.tag) < 4 || v.tag == b.tag {
		t.Errorf("ETag %s", v.tag)
	}
	wantCORS(t, r)
	testutil.Eventually(t, "the viewer sees something", func() bool { return v.packets.Load() > 20 })
	for _, p := range []*peer{v, b} {
		for _, method := range []string{"GET", "HEAD"} {
			if r := s.do(call{method: method, path: p.location}); r.StatusCode != 204 || r.Header.Get("ETag") != p.tag {
				t.Errorf("%s: %d %v", method, r.StatusCode, r.Header)
			}
		}
		if r := s.do(call{method: "DELETE", path: p.location}.with("If-Match", `"whatever"`)); r.StatusCode != 200 ||
			r.body != "" {
			t.Errorf("DELETE: %d %q", r.StatusCode, r.body)
		}
		wantProblem(t, s.do(call{method: "DELETE", path: p.location}), 404)
		wantProblem(t, s.do(call{method: "PATCH", path: p.location}.with("Content-Type", mimeFragment)), 404)
	}
	s.listed("cats", siaran.StatusOffline)
}

func TestTheTokenNamesTheStream(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.BaseURL = "https://live.example.org/" })
	p := s.broadcaster()
	p.mustOpen("/whip?token="+s.publisher("cats"), "")
	if !strings.HasPrefix(p.location, "https://live.example.org/whip/cats/") {
		t.Errorf("Location %s", p.location)
	}
	s.listed("cats", siaran.StatusLive)
}

func TestLinksOfICEServers(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) {
		c.ICEServers = func(id siaran.SessionID, host string) []ICEServer {
			return []ICEServer{{URLs: []string{"turn:" + host + ":1", "turn:b:2"}, Username: "u", Credential: "c"}}
		}
	})
	r := s.broadcaster().open("/whip/cats", s.publisher("cats"))
	if links := r.Header.Values("Link"); len(links) != 2 || !strings.HasPrefix(links[0], "<turn:127.0.0.1:1>; rel=") {
		t.Errorf("%d, links %q: %s\n%s", r.StatusCode, links, r.body, s.log)
	}
}

func TestTakeover(t *testing.T) {
	t.Parallel()
	s := start(t)
	cats, other := s.publisher("cats"), s.publisher("cats")
	first := s.onAir("cats", cats)
	if p := wantProblem(t, s.broadcaster().open("/whip/cats", other), 409); !strings.Contains(p.Detail,
		"DELETE /api/streams/NAME/broadcast") {
		t.Errorf("not told what to do: %s", p.Detail)
	}
	second := s.broadcaster()
	second.mustOpen("/whip/cats", cats)
	testutil.Eventually(t, "the first session is gone", func() bool {
		return s.do(call{method: "GET", path: first.location}).StatusCode == 404
	})
	if r := s.do(call{method: "DELETE", path: "/api/streams/cats/broadcast", token: other}); r.StatusCode != 204 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	testutil.Eventually(t, "the second session is gone", func() bool {
		return s.do(call{method: "GET", path: second.location}).StatusCode == 404
	})
	s.broadcaster().mustOpen("/whip/cats", other)
}

func TestStreamOfAnotherServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.listing.Renew(t.Context(), siaran.Node{Name: "there", LeaseUntil: time.Now().Add(time.Minute)}))
	s.must(s.listing.Claim(t.Context(), "cats", "there", "", 0))
	s.must(s.listing.Apply(t.Context(), siaran.Update{Node: "there", At: time.Now(), Changes: []siaran.Change{{
		State: siaran.BroadcastState{ID: "b", Stream: "cats", Status: siaran.StatusLive, StartedAt: time.Now()},
	}}}))
	wantProblem(t, s.broadcaster().open("/whip/cats", s.publisher("cats")), 409)
	wantProblem(t, s.do(call{method: "DELETE", path: "/api/streams/cats/broadcast", token: s.admin}), 409)
}

func TestPatch(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"whip", "whep"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			cats := s.publisher("cats")
			p := s.onAir("cats", cats)
			if side == "whep" {
				p = s.viewer()
				p.mustOpen("/whep/cats", "")
			}
			ufrag, pwd := p.offerValue("ice-ufrag"), p.offerValue("ice-pwd")
			fragment := func(ufrag, pwd string, lines ...string) string {
				return "a=ice-ufrag:" + ufrag + "\r\na=ice-pwd:" + pwd + "\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n" +
					strings.Join(lines, "\r\n") + "\r\n"
			}
			good := fragment(ufrag, pwd, "a=candidate:1 1 UDP 2130706431 127.0.0.1 9 typ host", "a=end-of-candidates")
			fresh := strings.Repeat("x", 22)
			patch := func(match, body string, more ...string) call {
				c := call{method: "PATCH", path: p.location, body: body}.with("Content-Type", mimeFragment)
				if match != "" {
					c = c.with("If-Match", match)
				}
				return c.with(more...)
			}
			for name, tt := range map[string]struct {
				call   call
				status int
			}{
				"candidates":             {patch(p.tag, good), 204},
				"bare LF, no end":        {patch(p.tag, strings.TrimSpace(strings.ReplaceAll(good, "\r\n", "\n"))), 204},
				"star, same credentials": {patch("*", good), 204},
				"quoted star":            {patch(`"*"`, good), 204},
				"one tag of a list":      {patch(`"no", `+p.tag, good), 204},
				"no m-section":           {patch(p.tag, "a=ice-ufrag:"+ufrag+"\r\na=ice-pwd:"+pwd+"\r\n"), 204},
				"mDNS name and junk": {patch(p.tag,
					fragment(ufrag, pwd, "a=candidate:1 1 UDP 1 x.local 9 typ host", "a=candidate:junk")), 204},
				"other case, parameter": {patch(p.tag, good, "Content-Type",
					"Application/Trickle-ICE-sdpfrag; charset=utf-8"), 204},
				"many candidates": {patch(p.tag,
					fragment(ufrag, pwd, strings.Repeat("a=candidate:1 1 UDP 1 127.0.0.1 9 typ host\r\n", 100))), 204},
				"no If-Match":          {patch("", good), 428},
				"old tag":              {patch(`"old"`, good), 412},
				"tag without quotes":   {patch(strings.Trim(p.tag, `"`), good), 412},
				"weak tag":             {patch("W/"+p.tag, good), 412},
				"junk":                 {patch(p.tag, "\x00\x01"), 400},
				"empty":                {patch(p.tag, ""), 400},
				"too large":            {patch(p.tag, strings.Repeat("a", maxFragment+1)), 413},
				"wrong type":           {patch(p.tag, good, "Content-Type", "application/sdp"), 415},
				"no type":              {call{method: "PATCH", path: p.location, body: good}.with("If-Match", p.tag), 415},
				"only ufrag changed":   {patch("*", fragment("abcd", pwd)), 400},
				"only pwd changed":     {patch("*", fragment(ufrag, fresh)), 400},
				"restart, old tag":     {patch(`"old"`, fragment("abcd", fresh)), 412},
				"restart, no If-Match": {patch("", fragment("abcd", fresh)), 428},
				"session of another stream": {call{method: "DELETE",
					path: strings.Replace(p.location, "/cats/", "/dogs/", 1)}, 404},
				"session of the other kind": {call{method: "DELETE",
					path: strings.NewReplacer("/whip/", "/whep/", "/whep/", "/whip/").Replace(p.location)}, 404},
			} {
				r := s.do(tt.call)
				if tt.status != 204 {
					t.Run(name, func(t *testing.T) { wantProblem(t, r, tt.status) })
				} else if r.StatusCode != 204 || r.body != "" || r.Header.Get("ETag") != "" {
					t.Errorf("%s: %d %v %s", name, r.StatusCode, r.Header, r.body)
				}
			}
			if r := s.do(call{method: "GET", path: p.location}); r.StatusCode != 204 {
				t.Errorf("the session did not outlive this: %d", r.StatusCode)
			}
		})
	}
}

func TestLaxTrickle(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.LaxTrickle = true })
	p := s.onAir("cats", s.publisher("cats"))
	patch := call{method: "PATCH", path: p.location}.with("Content-Type", mimeFragment)
	patch.body = "a=ice-ufrag:" + p.offerValue("ice-ufrag") + "\r\na=ice-pwd:" + p.offerValue("ice-pwd") + "\r\n"
	if r := s.do(patch); r.StatusCode != 204 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	wantProblem(t, s.do(patch.with("If-Match", `"old"`)), 412)
	patch.body = "a=ice-ufrag:abcd\r\na=ice-pwd:" + strings.Repeat("x", 22) + "\r\n"
	wantProblem(t, s.do(patch), 428)
	patch.body = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 UDP 1 127.0.0.1 9 typ host\r\n"
	wantProblem(t, s.do(patch), 428)
}

// TestTrickledCandidatesConnect has a broadcaster send its candidates only after the answer.
func TestTrickledCandidatesConnect(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.broadcaster()
	candidates := make(chan string, 64)
	p.pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil {
			close(candidates)
			return
		}
		candidates <- c.ToJSON().Candidate
	})
	offer, err := p.pc.CreateOffer(nil)
	s.must(err)
	s.must(p.pc.SetLocalDescription(offer))
	r := s.do(call{method: "POST", path: "/whip/cats", token: s.publisher("cats"), body: offer.SDP}.with(sdpBody...))
	if r.StatusCode != 201 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	s.must(p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.body}))
	for c := range candidates {
		body := "a=ice-ufrag:" + p.offerValue("ice-ufrag") + "\r\na=ice-pwd:" + p.offerValue("ice-pwd") +
			"\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=" + c + "\r\n"
		r := s.do(call{method: "PATCH", path: r.Header.Get("Location"), body: body}.with("Content-Type", mimeFragment,
			"If-Match", r.Header.Get("ETag")))
		if r.StatusCode != 204 {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	}
	s.listed("cats", siaran.StatusLive)
}
