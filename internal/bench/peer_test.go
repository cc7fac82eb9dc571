package bench

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/pion/dtls/v2"
	"github.com/pion/ice/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"
)

// peer is a textbook WHIP and WHEP server: a PeerConnection for each client, and every packet is forwarded.
type peer struct {
	URL string

	setting webrtc.SettingEngine
	tracks  sync.Map      // "audio" and "video" to *webrtc.TrackLocalStaticRTP
	asked   chan struct{} // a viewer needs a key frame
	lose    int           // loses one video packet in so many; 0: none

	mu       sync.Mutex
	sessions map[string]*webrtc.PeerConnection
	deleted  int
	running  sync.WaitGroup
}

// startPeer starts a server. Each option may change the settings of its connections.
func startPeer(t *testing.T, options ...func(*webrtc.SettingEngine)) *peer {
	t.Helper()
	p := &peer{sessions: make(map[string]*webrtc.PeerConnection), asked: make(chan struct{}, 1)}
	p.setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	p.setting.SetIncludeLoopbackCandidate(true)
	for _, o := range options {
		o(&p.setting)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whip", func(w http.ResponseWriter, r *http.Request) { p.post(w, r, p.publish) })
	mux.HandleFunc("POST /whep", func(w http.ResponseWriter, r *http.Request) { p.post(w, r, p.watch) })
	mux.HandleFunc("DELETE /session/{id}", p.remove)
	server := httptest.NewServer(mux)
	p.URL = server.URL
	t.Cleanup(func() {
		server.Close()
		p.mu.Lock()
		left := p.sessions
		p.sessions = nil
		p.mu.Unlock()
		for _, pc := range left {
			if err := pc.GracefulClose(); err != nil {
				t.Error(err)
			}
		}
		p.running.Wait()
	})
	return p
}

func (p *peer) post(w http.ResponseWriter, r *http.Request, prepare func(*webrtc.PeerConnection) bool) {
	offer, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(p.setting))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if !prepare(pc) {
		_ = pc.GracefulClose()
		http.Error(w, "nobody is live", http.StatusNotFound)
		return
	}
	answer, err := negotiate(pc, string(offer))
	if err != nil {
		_ = pc.GracefulClose()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := make([]byte, 8)
	rand.Read(id)
	p.mu.Lock()
	p.sessions[hex.EncodeToString(id)] = pc
	p.mu.Unlock()
	w.Header().Set("Location", "/session/"+hex.EncodeToString(id))
	w.Header().Set("Content-Type", "application/sdp")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

func negotiate(pc *webrtc.PeerConnection, offer string) (string, error) {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

func (p *peer) publish(pc *webrtc.PeerConnection) bool {
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		kind := remote.Kind().String()
		local, err := webrtc.NewTrackLocalStaticRTP(remote.Codec().RTPCodecCapability, kind, "relay")
		if err != nil {
			return
		}
		p.tracks.Store(kind, local)
		p.running.Go(func() {
			for n := 1; ; n++ {
				packet, _, err := remote.ReadRTP()
				if err != nil {
					p.tracks.Delete(kind)
					return
				}
				if kind == "video" {
					select {
					case <-p.asked:
						_ = pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}})
					default:
					}
				}
				if p.lose == 0 || kind == "audio" || n%p.lose != 0 {
					_ = local.WriteRTP(packet)
				}
			}
		})
	})
	return true
}

func (p *peer) watch(pc *webrtc.PeerConnection) bool {
	for _, kind := range []string{"audio", "video"} {
		track, ok := p.tracks.Load(kind)
		if !ok {
			return false
		}
		if _, err := pc.AddTrack(track.(*webrtc.TrackLocalStaticRTP)); err != nil {
			return false
		}
	}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			select {
			case p.asked <- struct{}{}:
			default:
			}
		}
	})
	return true
}

func (p *peer) remove(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	pc := p.sessions[r.PathValue("id")]
	delete(p.sessions, r.PathValue("id"))
	p.deleted++
	p.mu.Unlock()
	if pc == nil {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	_ = pc.GracefulClose()
}

// ciphers sets the profiles of a server, in its order of preference.
func ciphers(list ...dtls.SRTPProtectionProfile) func(*webrtc.SettingEngine) {
	return func(s *webrtc.SettingEngine) { s.SetSRTPProtectionProfiles(list...) }
}
