package media

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

	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
	"siaran/internal/whep"
	"siaran/internal/whip"
	"siaran/web/access"
)

func TestRelayedViewer(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t)
			b := s.Broadcast(t, "cats", s.Token(t, "cats", "publish"), 25)
			b.WaitSent(5)
			v := s.Watch(t, "cats", harness.RelayOnly(harness.Matching(s.ICEServers(t), "transport="+transport)))
			harness.Eventually(t, "pictures arrive", func() bool { return len(v.VideoFrames()) > 30 })
			harness.Eventually(t, "the viewer is listed as relayed", func() bool {
				list := s.Viewers(t, "cats")
				return len(list) == 1 && strings.Contains(string(list[0]), `"path":"relayed"`)
			})
		})
	}
}

func TestRelayedBroadcaster(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t)
			b := s.Broadcast(t, "cats", s.Token(t, "cats", "publish"), 25, func(c *whip.Config) {
				c.ICEServers, c.RelayOnly = harness.Matching(s.ICEServers(t), "transport="+transport), true
			})
			b.WaitSent(5)
			var seen harness.Pictures
			v := s.Watch(t, "cats", harness.RelayOnly(harness.Matching(s.ICEServers(t), "transport="+transport)),
				func(c *whep.Config) { c.Packet = seen.Packet })
			arrive := func() bool {
				_, frames, _ := seen.Get()
				return frames > 30
			}
			harness.Eventually(t, "pictures arrive", arrive)
			if err := errors.Join(b.Session.Restart(t.Context()), v.Session.Restart(t.Context())); err != nil {
				t.Fatal(err)
			}
			seen.Forget() // some are lost with pion's own path, when it restarts
			harness.Eventually(t, "pictures arrive by the paths after the restarts", arrive)
		})
	}
}

// TestRelayCredentialOfASession: a WHEP session's own credential is good until the session ends, and not a moment
// longer.
func TestRelayCredentialOfASession(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), 25)
	b.WaitSent(3)
	session, err := newViewerOffer(t)
	if err != nil {
		t.Fatal(err)
	}
	res := s.Request(t, http.MethodPost, s.WHEP(harness.Cats), "", "application/sdp", session)
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("%d: %s", res.StatusCode, res.Body)
	}
	link := regexp.MustCompile(`^<turn:([^?]+)\?transport=udp>; ` +
		`rel="ice-server"; username="([^"]+)"; credential="([^"]+)"; credential-type="password"$`)
	parts := link.FindStringSubmatch(res.Header.Values("Link")[0])
	if parts == nil {
		t.Fatalf("%q", res.Header.Values("Link"))
	}
	if strings.Contains(parts[2], path.Base(res.Header.Get("Location"))) {
		t.Error("the user name tells the session's id")
	}
	if err := harness.Allocate(t, parts[1], parts[2], parts[3]); err != nil {
		t.Fatal(err)
	}
	if res := s.Request(t, http.MethodDelete, s.URL+res.Header.Get("Location"), "", "",
		""); res.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", res.StatusCode, res.Body)
	}
	if err := harness.Allocate(t, parts[1], parts[2], parts[3]); err == nil {
		t.Error("the credential of a session that has ended is still good")
	}
	if log := s.Logs.String(); strings.Contains(log, parts[2]) || strings.Contains(log, parts[3]) {
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
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		return "", err
	}
	offer, err := pc.CreateOffer(nil)
	return offer.SDP, err
}

// TestRelayedViewerIsSentAway: with its session its way through the relay ends too, even if it does not let go of it.
func TestRelayedViewerIsSentAway(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), 25)
	b.WaitSent(3)
	closed := make(chan struct{})
	v := s.Watch(t, harness.Cats, harness.RelayOnly(harness.Matching(s.ICEServers(t), "transport=tcp")),
		func(c *whep.Config) {
			c.Setting = func(e *webrtc.SettingEngine) { e.SetICEProxyDialer(watchedDialer{closed}) }
		})
	harness.Eventually(t, "pictures arrive", func() bool { return len(v.VideoFrames()) > 5 })
	var viewer struct{ ID string }
	harness.Eventually(t, "the viewer is listed", func() bool {
		list := s.Viewers(t, harness.Cats)
		return len(list) == 1 && json.Unmarshal(list[0], &viewer) == nil
	})
	if res := s.Request(t, http.MethodDelete, s.URL+"/api/streams/cats/viewers/"+viewer.ID, s.Admin, "",
		""); res.StatusCode >= 300 {
		t.Fatalf("%d: %s", res.StatusCode, res.Body)
	}
	select {
	case <-closed:
	case <-time.After(50 * time.Second): // soon enough: one that is not let go is closed as unused after a minute
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
