package web

import (
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// methods are the handlers of one address. OPTIONS is added to each.
type methods map[string]echo.HandlerFunc

func (s *Server) routes() {
	whip, whep := s.whip(), s.whep()
	s.whipSlots, s.whepSlots = whip.slots, whep.slots
	for _, p := range []*protocol{whip, whep} {
		s.endpoint(p.prefix+"/:stream", p, s.post(p))
		s.route(p.prefix+"/:stream/:session", methods{
			"PATCH": s.patchSession(p), "DELETE": s.deleteSession(p), "GET": s.probeSession(p),
		}, "Accept-Patch", mimeFragment)
	}
	s.endpoint("/whip", whip, s.postOwn(whip))
	session := whep.prefix + "/:stream/:session"
	s.route(session+"/events", methods{"POST": s.openEvents(whep)}, "Accept-Post", echo.MIMEApplicationJSON)
	s.route(session+"/events/:events", methods{"GET": s.sendViewerEvents(whep), "DELETE": s.closeEvents(whep)})
	s.route(session+"/layers", methods{
		"GET": s.showLayers(whep), "POST": s.chooseLayer(whep), "DELETE": s.unchooseLayer(whep),
	}, "Accept-Post", echo.MIMEApplicationJSON)

	s.get("/api/streams", s.listStreams)
	s.get("/api/streams/events", s.streamEvents)
	s.route("/api/streams/:stream", methods{
		"GET": s.showStream, "PATCH": s.changing(s.editStream), "DELETE": s.changing(s.deleteStream),
	})
	s.route("/api/streams/:stream/broadcast", methods{"DELETE": s.changing(s.endBroadcast)})
	s.route("/api/streams/:stream/keys", methods{"POST": s.changing(s.makeKey)})
	s.get("/api/streams/:stream/viewers", s.listViewers)
	s.route("/api/streams/:stream/viewers/:viewer", methods{"DELETE": s.changing(s.kickViewer)})
	s.get("/api/streams/:stream/keyframe", s.keyframe)
	s.get("/api/streams/:stream/health", s.health)
	s.get("/api/tokens/self", s.showToken)
	s.route("/api/drain", methods{
		"GET": s.administering(s.showDrain), "POST": s.changing(s.startDrain), "DELETE": s.administering(s.stopDrain),
	}, "Accept-Post", echo.MIMEApplicationJSON)
	s.get("/api/ice", s.showICE)
	s.get("/api/openapi.yaml", s.openAPI)
	s.get("/api/admin", s.admin(s.showOverview))
	s.get("/api/admin/streams/:stream/viewers", s.admin(s.adminViewersOf))
	s.get("/healthz", s.healthz)
	s.get("/readyz", s.readyz)

	s.get("/", s.page("dashboard.html"))
	s.get("/studio", s.studio())
	s.get("/admin", s.page("admin.html"))
	s.get("/watch/:stream", s.streamPage("watch.html"))
	s.get("/embed/:stream", s.streamPage("embed.html"))
	s.get("/api", s.apiPage)
	s.get("/problems/:problem", s.problemPage)
	s.get("/static/*", s.static)
	s.get("/favicon.ico", s.favicon)
	s.get("/robots.txt", s.robots)
}

// route binds an address. HEAD is handled as GET. accept is a further header and its value for OPTIONS.
func (s *Server) route(path string, m methods, accept ...string) {
	if get := m["GET"]; get != nil && m["HEAD"] == nil {
		m["HEAD"] = get
	}
	allow := []string{"OPTIONS"}
	for method, handler := range m {
		s.echo.Add(method, path, handler)
		allow = append(allow, method)
	}
	slices.Sort(allow)
	header, value := "", ""
	if len(accept) == 2 {
		header, value = accept[0], accept[1]
	}
	s.echo.OPTIONS(path, options(strings.Join(allow, ", "), header, value))
}

// endpoint binds an address at which sessions are opened.
func (s *Server) endpoint(path string, p *protocol, post echo.HandlerFunc) {
	probe := s.probeEndpoint(p)
	s.echo.POST(path, post)
	s.echo.GET(path, probe)
	s.echo.HEAD(path, probe)
	s.echo.OPTIONS(path, s.announcing(p, options("GET, HEAD, OPTIONS, POST", "Accept-Post", mimeSDP)))
}

// tidyPath accepts equivalent forms of an address: with unnecessary escapes (RFC 3986 section 6.2.2.2), or with a slash
// at the end.
func tidyPath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		if !strings.Contains(strings.ToLower(u.RawPath), "%2f") { // an escaped slash separates nothing
			u.RawPath = ""
		}
		if len(u.Path) > 1 {
			u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
		}
		return next(c)
	}
}

// wholeParts keeps a parameter such as :session from matching several parts of a path, or none.
func wholeParts(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		route, path := c.Path(), echo.GetPath(c.Request())
		whole := strings.Count(route, "/") == strings.Count(path, "/") && !strings.Contains(path, "//")
		if !whole && !strings.HasSuffix(route, "*") {
			return echo.ErrNotFound
		}
		return next(c)
	}
}

func (s *Server) get(path string, h echo.HandlerFunc) {
	s.route(path, methods{"GET": h})
}

// changing limits how often one source address may change something.
func (s *Server) changing(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.addressLimit.take(c); err != nil {
			return err
		}
		return next(c)
	}
}
