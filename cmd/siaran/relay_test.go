package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/internal/whep"
	"siaran/cmd/siaran/internal/whip"
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
