package web

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
)

// redirected marks an address to which other servers have redirected a client, and says how often. Nobody is redirected
// more than twice, and without a cluster once, whatever servers believe about one another.
const redirected = "redirected"

// hops returns how often a client has been redirected, as its address says. What is no number is many.
func hops(c echo.Context) int {
	q := c.Request().URL.Query()
	if !q.Has(redirected) {
		return 0
	}
	n, err := strconv.Atoi(q.Get(redirected))
	if err != nil || n < 1 {
		return math.MaxInt
	}
	return n
}

// nodeURLFor returns the URL of this request on the server where stream is live, for a stream that is not live here. It
// is empty if no other server has it live, or if this client may be unable to reach that one.
func (s *Server) nodeURLFor(ctx context.Context, c echo.Context, stream siaran.Stream) string {
	if !onAir(stream) || stream.Node == s.cfg.Node || hops(c) > 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	node, err := s.listing.Node(ctx, stream.Node)
	if err != nil {
		return "" // it has just died, or the listing does not answer
	}
	base, err := url.Parse(node.URL)
	if err != nil || !s.reaches(c, base) {
		return ""
	}
	return urlThere(c, base)
}

func onAir(s siaran.Stream) bool {
	return s.Status == siaran.StatusLive || s.Status == siaran.StatusInterrupted
}

// urlThere returns the URL of a request on another server.
func urlThere(c echo.Context, base *url.URL) string {
	there := base.JoinPath(c.Request().URL.Path)
	there.RawQuery = strings.TrimPrefix(
		fmt.Sprintf("%s&%s=%d", withoutToken(c.Request().URL.RawQuery), redirected, hops(c)+1), "&")
	return there.String()
}

// withoutToken removes the token from a query, which another server, and logs on the way, must not see; and the mark.
func withoutToken(query string) string {
	parts := strings.FieldsFunc(query, func(r rune) bool { return r == '&' })
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool {
		key, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(key)
		return err != nil || name == "token" || name == redirected
	}), "&")
}

// reaches reports whether the client of a request may be sent to another server's URL.
func (s *Server) reaches(c echo.Context, to *url.URL) bool {
	r := c.Request()
	if to.Scheme != "http" && to.Scheme != "https" || to.User != nil || to.RawQuery != "" || to.Fragment != "" {
		return false
	}
	host, ok := HostOf(to.Host)
	if !ok || strings.EqualFold(to.Host, r.Host) {
		return false // behind one name there may be several servers, and any of them would answer
	}
	secure, own := r.TLS != nil, r.Host
	if base, err := url.Parse(s.cfg.BaseURL); err == nil && base.Host != "" {
		if strings.EqualFold(base.Host, to.Host) {
			return false
		}
		secure, own = secure || base.Scheme == "https", base.Host
	}
	if secure && to.Scheme == "http" {
		return false // tokens could be read on the way, and browsers block such frames on secure pages
	}
	ip, err := netip.ParseAddr(host)
	if loopback := isLoopback(host); loopback || err == nil && isLocal(ip) {
		client, err := netip.ParseAddr(c.RealIP())
		sameMachine := isLoopback(own) && isLoopback(r.Host) && !forwarded(r)
		return err == nil && isLocal(client.Unmap()) && (!loopback || sameMachine)
	}
	return true
}

// isLoopback reports whether a host, with or without a port, is the client's own machine (RFC 6761 section 6.3).
func isLoopback(field string) bool {
	host, ok := HostOf(field)
	ip, err := netip.ParseAddr(host)
	name := strings.TrimSuffix(host, ".")
	return ok && (err == nil && ip.IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost"))
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// isLocal reports whether an address is meaningful only within some network.
func isLocal(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || sharedSpace.Contains(ip)
}

// forwarded reports whether a proxy says that it makes the request for somebody else.
func forwarded(r *http.Request) bool {
	for _, name := range []string{echo.HeaderXForwardedFor, echo.HeaderXRealIP, "Forwarded", "Via"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// redirectTo answers with 307, which keeps method and body and is not cached (RFC 9110 section 15.4.8).
func redirectTo(c echo.Context, url string) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set(echo.HeaderLocation, url)
	return c.String(http.StatusTemporaryRedirect, "The stream is live at "+url+"\n"+
		"The redirect carries no token: send it there again, as 'Authorization: Bearer TOKEN'.\n")
}

// whereLive names the server where a stream is live. Only callers who may publish it are told.
func (s *Server) whereLive(ctx context.Context, name siaran.StreamName) string {
	stream, _, err := s.lookup(ctx, name)
	if err != nil || stream.Node == "" || stream.Node == s.cfg.Node {
		return "another server"
	}
	where := "the server " + stream.Node
	if node, err := s.listing.Node(ctx, stream.Node); err == nil && node.URL != "" {
		where += " (" + node.URL + ")"
	}
	return where
}

// toParent sends a broadcaster on to the parent, whose stream it is. Who cannot get there is told so by err. Scripts of
// pages cannot follow.
func (s *Server) toParent(c echo.Context, err error) error {
	base, parseErr := url.Parse(s.cfg.Parent)
	if s.cfg.Parent == "" || parseErr != nil || hops(c) > 1 || s.fromOwnPage(c.Request()) || !s.reaches(c, base) {
		return err
	}
	return redirectTo(c, urlThere(c, base))
}

// ownPage returns the address of a page at this server's own name, for who has asked for it at the name that all
// servers share. There, all that the page asks for comes to one server.
func (s *Server) ownPage(c echo.Context) string {
	front, frontErr := url.Parse(s.cfg.FrontURL)
	base, err := url.Parse(s.cfg.BaseURL)
	if err != nil || frontErr != nil || base.Host == "" || hops(c) > 1 ||
		!strings.EqualFold(c.Request().Host, front.Host) || strings.EqualFold(base.Host, front.Host) {
		return ""
	}
	return urlThere(c, base)
}
