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

// HostOf returns the name or address by which a Host header field (RFC 9110 section 7.2) calls this server, without
// port and brackets. For junk it returns "" and false: what it returns is fit for a URL and a header field.
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

// iceServers returns the servers for a session, or before there is one (empty id), as this client reaches them.
func (s *Server) iceServers(r *http.Request, session siaran.SessionID) []ICEServer {
	if s.cfg.ICEServers == nil {
		return nil
	}
	host, _ := HostOf(r.Host)
	return s.cfg.ICEServers(session, host)
}

// showICE answers with what goes into the configuration of an RTCPeerConnection. Credentials are new each time.
func (s *Server) showICE(c echo.Context) error {
	if err := s.iceLimit.take(c); err != nil {
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
	return sendJSON(c, http.StatusOK, map[string]any{"iceServers": list})
}

// addLinks announces servers, one header line per URL (RFC 9725 section 4.6).
func addLinks(h http.Header, servers []ICEServer) {
	for _, link := range iceLinks(servers) {
		h.Add("Link", link)
	}
}

// iceLinks writes Link values, one per URL, in the exact form that OBS and mediamtx can read. A server with a value
// that they could not read is left out.
func iceLinks(servers []ICEServer) []string {
	var links []string
	for _, server := range servers {
		for _, u := range server.URLs {
			if strings.ContainsFunc(u+server.Username+server.Credential, unfit) {
				continue
			}
			link := fmt.Sprintf(`<%s>; rel="ice-server"`, u)
			if server.Username != "" {
				link += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`,
					server.Username, server.Credential)
			}
			links = append(links, link)
		}
	}
	return links
}

// unfit reports whether some parser would end a value at this character, or no header field may contain it.
func unfit(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`;,"<>\`, r) }

// announcing adds the ICE servers to the answer to OPTIONS, for clients that ask before they open a session (RFC 9725
// section 4.6). A browser's preflight does not ask for them. Servers with credentials are announced only to callers
// that may open a session.
func (s *Server) announcing(p *protocol, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if s.cfg.ICEServers != nil && !preflight(r) && s.iceLimit.take(c) == nil {
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

// mayOpen reports whether the token of a request may open a session.
func (s *Server) mayOpen(c echo.Context, p *protocol) bool {
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.openTime)
	defer cancel()
	token, asked := endpointToken(c.Request()), c.Param("stream")
	if asked == "" { // the token names it
		claims, err := s.verify(ctx, c, token)
		if err != nil {
			return false
		}
		asked = claims.Stream
	}
	name, err := streamName(asked)
	if err != nil {
		return false
	}
	_, err = s.authorizeFor(ctx, c, p.wish(name, token))
	return err == nil
}
