package web

import (
	"time"

	"siaran/internal/netaddr"
)

// Settings are the settings of a Config that can be changed while the server runs; Adjust changes them.
type Settings struct {
	AllowedOrigins    []string
	HSTS              time.Duration
	StrictSessionAuth bool
	LaxTrickle        bool
	Broadcasts        int           // Limits.Broadcasts
	Viewers           int           // Limits.Viewers
	Share             netaddr.Share // Limits.Share
}

func (c Config) settings() Settings {
	return Settings{
		AllowedOrigins: c.AllowedOrigins, HSTS: c.HSTS, StrictSessionAuth: c.StrictSessionAuth, LaxTrickle: c.LaxTrickle,
		Broadcasts: c.Limits.Broadcasts, Viewers: c.Limits.Viewers, Share: c.Limits.Share,
	}
}

// Adjust sets what holds for requests from now on. Nobody who is there is sent away.
func (s *Server) Adjust(r Settings) {
	s.settings.Store(&r)
	s.rights.mu.Lock()
	s.rights.most = r.Broadcasts
	s.rights.mu.Unlock()
	s.liveFeed.mu.Lock()
	s.liveFeed.share = r.Share
	s.liveFeed.mu.Unlock()
	s.viewerEvents.mu.Lock()
	s.viewerEvents.share = r.Share
	s.viewerEvents.mu.Unlock()
}
