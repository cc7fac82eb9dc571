package web

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
)

// redirected marks an address that another server has sent a client to. Nobody is sent on twice, whatever servers believe of one another.
const redirected = "redirected"

// elsewhere is where the server that has stream live answers this very request, for a stream that is not live here. It
// is empty when no other server has it live, and when this client is not known to reach that one.
func (s *Server) elsewhere(ctx context.Context, c echo.Context, stream siaran.Stream) string {
	if stream.Status != siaran.StatusLive && stream.Status != siaran.StatusInterrupted || stream.Node == s.cfg.Node {
		return ""
	}
	asked := c.Request().URL
	if asked.Query().Has(redirected) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	node, err := s.cfg.Listing.Node(ctx, stream.Node)
	if err != nil {
		return "" // it has died just now, or the listing does not answer
	}
	base, err := url.Parse(node.URL)
	if err != nil || !s.reaches(c, base) {
		return ""
	}
	there := base.JoinPath(asked.Path)
	there.RawQuery = strings.TrimPrefix(asked.RawQuery+"&"+redirected+"=1", "&")
	return there.String()
}

// reaches tells whether the client of a request may be sent to another server's URL.
func (s *Server) reaches(c echo.Context, to *url.URL) bool {
	r := c.Request()
	if to.Scheme != "http" && to.Scheme != "https" || to.User != nil || to.RawQuery != "" || to.Fragment != "" {
		return false
	}
	host, ok := HostOf(to.Host)
	if !ok || strings.EqualFold(to.Host, r.Host) {
		return false // of several servers behind one name nobody can tell which would answer
	}
	secure, own := r.TLS != nil, r.Host
	if base, err := url.Parse(s.cfg.BaseURL); err == nil && base.Host != "" {
		if strings.EqualFold(base.Host, to.Host) {
			return false
		}
		secure, own = secure || base.Scheme == "https", base.Host
	}
	if secure && to.Scheme == "http" {
		return false // tokens could be read on the way, and frames on secure pages stay empty
	}
	ip, err := netip.ParseAddr(host)
	if loopback := isLoopback(host); loopback || err == nil && isLocal(ip) {
		client, err := netip.ParseAddr(c.RealIP())
		return err == nil && isLocal(client.Unmap()) && (!loopback || isLoopback(own) && isLoopback(r.Host) && !forwarded(r))
	}
	return true
}

// isLoopback tells whether a host, with or without a port, is the client's own machine (RFC 6761 section 6.3).
func isLoopback(field string) bool {
	host, ok := HostOf(field)
	ip, err := netip.ParseAddr(host)
	name := strings.TrimSuffix(host, ".")
	return ok && (err == nil && ip.IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost"))
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// isLocal tells whether an address means something in a network of its own only.
func isLocal(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || sharedSpace.Contains(ip)
}

// forwarded tells whether a proxy says that a request is another's.
func forwarded(r *http.Request) bool {
	return r.Header.Get(echo.HeaderXForwardedFor) != "" || r.Header.Get(echo.HeaderXRealIP) != "" || r.Header.Get("Forwarded") != "" || r.Header.Get("Via") != ""
}

// sendThere keeps method and body with 307 (RFC 9110 section 15.4.8), which is true for now only.
func sendThere(c echo.Context, there string) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.Redirect(http.StatusTemporaryRedirect, there)
}

// whereLive names the server that has a stream live, for who may know.
func (s *Server) whereLive(ctx context.Context, name siaran.StreamName) string {
	stream, _, err := s.lookup(ctx, name)
	if err != nil || stream.Node == "" || stream.Node == s.cfg.Node {
		return "another server"
	}
	where := "the server " + stream.Node
	if node, err := s.cfg.Listing.Node(ctx, stream.Node); err == nil && node.URL != "" {
		where += " (" + node.URL + ")"
	}
	return where
}
