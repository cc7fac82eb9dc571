package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/turn/v2"
	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/internal/whep"
	"siaran/cmd/siaran/internal/whip"
	"siaran/web/access"
)

// iceServers asks the server for its ICE servers, as a page does.
func (s *testServer) iceServers(t testing.TB) []webrtc.ICEServer {
	t.Helper()
	client := s.client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Get(s.URL + "/api/ice")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct {
		ICEServers []struct {
			URLs                 []string
			Username, Credential string
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	var list []webrtc.ICEServer
	for _, i := range body.ICEServers {
		list = append(list, webrtc.ICEServer{URLs: i.URLs, Username: i.Username, Credential: i.Credential})
	}
	return list
}

// over leaves only the URLs with something in them.
func over(list []webrtc.ICEServer, part string) []webrtc.ICEServer {
	var out []webrtc.ICEServer
	for _, i := range list {
		for _, u := range i.URLs {
			if strings.Contains(u, part) {
				out = append(out, webrtc.ICEServer{URLs: []string{u}, Username: i.Username, Credential: i.Credential})
			}
		}
	}
	return out
}

func throughRelay(servers []webrtc.ICEServer) func(*whep.Config) {
	return func(c *whep.Config) { c.ICEServers, c.RelayOnly = servers, true }
}

func TestRelayedViewer(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := startBare(t)
			b := s.broadcast(t, "cats", s.token(t, "cats", "publish"), 25)
			b.waitSent(5)
			v := s.watch(t, "cats", throughRelay(over(s.iceServers(t), "transport="+transport)))
			eventually(t, "pictures arrive", func() bool { return len(v.pictures()) > 30 })
			eventually(t, "the viewer is listed as relayed", func() bool {
				list := s.viewers(t, "cats")
				return len(list) == 1 && strings.Contains(string(list[0]), `"path":"relayed"`)
			})
		})
	}
}

func TestRelayedBroadcaster(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := startBare(t)
			b := s.broadcast(t, "cats", s.token(t, "cats", "publish"), 25, func(c *whip.Config) {
				c.ICEServers, c.RelayOnly = over(s.iceServers(t), "transport="+transport), true
			})
			b.waitSent(5)
			v := s.watch(t, "cats", throughRelay(over(s.iceServers(t), "transport="+transport)))
			eventually(t, "pictures arrive", func() bool { return len(v.pictures()) > 30 })
		})
	}
}

// TestRelayCredentialOfASession: a WHEP session's own credential is good until the session ends, and not a moment longer.
func TestRelayCredentialOfASession(t *testing.T) {
	s := startServer(t)
	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 25)
	b.waitSent(3)
	session, err := newViewerOffer(t)
	if err != nil {
		t.Fatal(err)
	}
	res := s.request(t, http.MethodPost, s.whep(cats), "", "application/sdp", session)
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("%d: %s", res.StatusCode, res.body)
	}
	link := regexp.MustCompile(`^<turn:([^?]+)\?transport=udp>; rel="ice-server"; username="([^"]+)"; credential="([^"]+)"; credential-type="password"$`)
	parts := link.FindStringSubmatch(res.Header.Values("Link")[0])
	if parts == nil {
		t.Fatalf("%q", res.Header.Values("Link"))
	}
	if strings.Contains(parts[2], path.Base(res.Header.Get("Location"))) {
		t.Error("the user name tells the session's id")
	}
	if err := allocate(t, parts[1], parts[2], parts[3]); err != nil {
		t.Fatal(err)
	}
	if res := s.request(t, http.MethodDelete, s.URL+res.Header.Get("Location"), "", "", ""); res.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", res.StatusCode, res.body)
	}
	if err := allocate(t, parts[1], parts[2], parts[3]); err == nil {
		t.Error("the credential of a session that has ended is still good")
	}
	if log := s.logs.String(); strings.Contains(log, parts[2]) || strings.Contains(log, parts[3]) {
		t.Error("the credential is in the log")
	}
}

// newViewerOffer is an offer of somebody who never connects.
func newViewerOffer(t *testing.T) (string, error) {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	defer pc.Close()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		return "", err
	}
	offer, err := pc.CreateOffer(nil)
	return offer.SDP, err
}

// allocate tries a credential.
func allocate(t *testing.T, server, user, password string) error {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := turn.NewClient(&turn.ClientConfig{Conn: conn, STUNServerAddr: server, TURNServerAddr: server, Username: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		return err
	}
	return relayed.Close()
}

// TestRelayedViewerIsSentAway: with its session its way through the relay ends too, even if it does not let go of it.
func TestRelayedViewerIsSentAway(t *testing.T) {
	s := startServer(t)
	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 25)
	b.waitSent(3)
	closed := make(chan struct{})
	v := s.watch(t, cats, throughRelay(over(s.iceServers(t), "transport=tcp")), func(c *whep.Config) {
		c.Setting = func(e *webrtc.SettingEngine) { e.SetICEProxyDialer(watchedDialer{closed}) }
	})
	eventually(t, "pictures arrive", func() bool { return len(v.pictures()) > 5 })
	var viewer struct{ ID string }
	eventually(t, "the viewer is listed", func() bool {
		list := s.viewers(t, cats)
		return len(list) == 1 && json.Unmarshal(list[0], &viewer) == nil
	})
	if res := s.request(t, http.MethodDelete, s.URL+"/api/streams/cats/viewers/"+viewer.ID, s.Admin, "", ""); res.StatusCode >= 300 {
		t.Fatalf("%d: %s", res.StatusCode, res.body)
	}
	select {
	case <-closed:
	case <-time.After(40 * time.Second): // soon enough: one that is not let go is closed as unused after a minute
		t.Error("the relay keeps the connection")
	}
}

// watchedDialer tells when the other side has closed its connection.
type watchedDialer struct{ closed chan struct{} }

func (d watchedDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &watchedConn{Conn: conn, closed: d.closed}, err
}

type watchedConn struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) { // reset if what the client sent last was never read
		c.once.Do(func() { close(c.closed) })
	}
	return n, err
}
