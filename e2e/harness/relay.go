package harness

import (
	"strings"

	"github.com/pion/webrtc/v3"

	"siaran/internal/whep"
)

// Matching leaves only the URLs with something in them.
func Matching(list []webrtc.ICEServer, part string) []webrtc.ICEServer {
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

func RelayOnly(servers []webrtc.ICEServer) func(*whep.Config) {
	return func(c *whep.Config) { c.ICEServers, c.RelayOnly = servers, true }
}
