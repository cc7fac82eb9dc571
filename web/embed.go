package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
)

// checkSite fails if a page of a site that may not have the player of the stream asks to watch. Programs name no site:
// this binds browsers, and so whoever has no program but a page.
func (s *Server) checkSite(c echo.Context, stream siaran.Stream) error {
	r := c.Request()
	origin := r.Header.Get(echo.HeaderOrigin)
	if origin == "" || isChild(c) || s.ownSite(r, origin) || stream.EmbedSites.Allow(origin) {
		return nil
	}
	return fail(siteNotAllowed,
		"the stream may not be watched on pages of this site; its owner can allow the site (embedSites)")
}

// ownSite reports whether an origin is that of this server's pages, which a proxy may offer with another scheme.
func (s *Server) ownSite(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (strings.EqualFold(u.Host, r.Host) || strings.EqualFold(origin, s.cfg.BaseURL))
}

// framers is who may frame the embedded player, for a Content-Security-Policy. Of a private stream nothing is said, as
// if it did not exist: it takes a token to watch that.
func framers(sites siaran.EmbedSites) string {
	switch sites {
	case "":
		return "*"
	case siaran.NoSites:
		return "'self'"
	}
	return "'self' " + string(sites)
}

// limitViewers tells the broadcast, if it is here, how many viewers the stream may have.
func (s *Server) limitViewers(stream siaran.Stream) {
	b, err := s.cfg.Hub.Broadcast(stream.Name)
	if err != nil {
		return
	}
	most := stream.MaxViewers
	if own := s.settings.Load().Viewers; most == 0 || own > 0 && own < most {
		most = own
	}
	b.LimitViewers(most)
}
