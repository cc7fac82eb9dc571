package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?$`)

// HostOf is the name or address that a Host header field (RFC 9110 section 7.2) calls this server, without a port and
// without brackets. It is empty and false for junk: what it returns fits into a URL and a header field.
func HostOf(field string) (string, bool) {
	host := field
	if h, _, err := net.SplitHostPort(field); err == nil {
		host = h
	} else if inner, ok := strings.CutPrefix(field, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		if ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
			return "", false
		}
		return ip.String(), true
	}
	if !hostName.MatchString(host) {
		return "", false
	}
	return strings.ToLower(host), true
}

// iceServers are those for a session, or for who has none yet (empty id), as this client reaches them.
func (s *Server) iceServers(r *http.Request, session siaran.SessionID) []ICEServer {
	if s.cfg.ICEServers == nil {
		return nil
	}
	host, _ := HostOf(r.Host)
	return s.cfg.ICEServers(session, host)
}

// showICE answers with what goes into an RTCPeerConnection's configuration. Credentials are fresh each time.
func (s *Server) showICE(c echo.Context) error {
	if err := s.iceLimit.take(source(c.RealIP())); err != nil {
		return err
	}
	type server struct {
		URLs       []string `json:"urls"`
		Username   string   `json:"username,omitempty"`
		Credential string   `json:"credential,omitempty"`
	}
	list := []server{}
	for _, i := range s.iceServers(c.Request(), "") {
		list = append(list, server(i))
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]any{"iceServers": list})
}

// addLinks announces servers, one header line a URL (RFC 9725 section 4.6).
func addLinks(h http.Header, servers []ICEServer) {
	for _, link := range iceLinks(servers) {
		h.Add("Link", link)
	}
}

// iceLinks writes Link values, one a URL, in the exact form that OBS and mediamtx can read. A
// server with a value that they could not is left out.
func iceLinks(servers []ICEServer) []string {
	var links []string
	for _, server := range servers {
		for _, u := range server.URLs {
			if strings.ContainsFunc(u+server.Username+server.Credential, unfit) {
				continue
			}
			link := fmt.Sprintf(`<%s>; rel="ice-server"`, u)
			if server.Username != "" {
				link += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`, server.Username, server.Credential)
			}
			links = append(links, link)
		}
	}
	return links
}

// unfit are the characters that end a value somewhere, and those that no header field may have.
func unfit(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`;,"<>\`, r) }

// announcing announces ICE servers before a session is opened, to those who ask (RFC 9725 section 4.6). A browser's
// preflight is not asking, and servers with credentials are for those who may open a session.
func (s *Server) announcing(p *protocol, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if s.cfg.ICEServers != nil && !preflight(r) && s.iceLimit.take(source(c.RealIP())) == nil {
			servers := s.iceServers(r, "")
			if !s.mayOpen(c, p) {
				servers = withoutCredentials(servers)
			}
			addLinks(c.Response().Header(), servers)
			c.Response().Header().Set("Cache-Control", "no-store")
		}
		return next(c)
	}
}

func withoutCredentials(servers []ICEServer) []ICEServer {
	var open []ICEServer
	for _, server := range servers {
		if server.Username == "" {
			open = append(open, server)
		}
	}
	return open
}

// mayOpen tells whether a session would be opened for the token of this request.
func (s *Server) mayOpen(c echo.Context, p *protocol) bool {
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.openTime)
	defer cancel()
	token := endpointToken(c.Request())
	asked := c.Param("stream")
	if asked == "" { // the token names it
		claims, err := s.cfg.Tokens.Verify(ctx, token)
		if err != nil {
			return false
		}
		asked = claims.Stream
	}
	name, err := streamName(asked)
	if err != nil {
		return false
	}
	stream, there, err := p.rules(ctx, c, token, name)
	if err != nil {
		return false
	}
	_, err = p.allow(ctx, token, stream, there)
	return err == nil
}
