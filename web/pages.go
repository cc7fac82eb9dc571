package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

//go:embed static
var staticFiles embed.FS

// asset is one file of the pages, read when the server starts.
type asset struct {
	body        []byte
	packed      []byte // body in gzip, nil if that is not smaller
	contentType string
	tag         string // an entity tag over the body, without quotes
}

type assets struct {
	byPath map[string]asset // without a leading slash
}

// mimeTypes are listed here so that they do not depend on the machine.
var mimeTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8", "": "text/plain; charset=utf-8",
	".json": "application/json", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
	".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".webp": "image/webp", ".jpg": "image/jpeg",
}

// readAssets reads and compresses them once for all servers of a process, of which tests have many.
var readAssets = sync.OnceValues(func() (*assets, error) {
	a := &assets{byPath: make(map[string]asset)}
	return a, fs.WalkDir(staticFiles, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := staticFiles.ReadFile(name)
		if err != nil {
			return fmt.Errorf("web: %w", err)
		}
		contentType := mimeTypes[path.Ext(name)]
		if contentType == "" {
			contentType = mime.TypeByExtension(path.Ext(name))
		}
		a.byPath[strings.TrimPrefix(name, "static/")] = newAsset(body, contentType)
		return nil
	})
})

func newAsset(body []byte, contentType string) asset {
	sum := sha256.Sum256(body)
	a := asset{body: body, contentType: contentType, tag: hex.EncodeToString(sum[:12])}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(body) // into memory: cannot fail
	_ = z.Close()
	if packed.Len() < len(body)*9/10 {
		a.packed = packed.Bytes()
	}
	return a
}

// guard sets the headers that make browsers careful. Handlers of pages set further ones.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		if hsts := s.settings.Load().HSTS; hsts > 0 {
			h.Set(echo.HeaderStrictTransportSecurity, "max-age="+strconv.Itoa(int(hsts.Seconds())))
		}
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderReferrerPolicy, "no-referrer")
		h.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
		return next(c)
	}
}

// pagePolicy is the Content-Security-Policy of pages: everything comes from this server, nothing is inline.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
	"media-src 'self' blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors "

// page serves an HTML file. Only the embedded player may be framed by other sites, and only the studio may use devices.
func (s *Server) page(file string) echo.HandlerFunc {
	return func(c echo.Context) error {
		p, _ := c.Get(about).(pageOf)
		pageHeaders(c.Response().Header(), file, p.stream.EmbedSites, p.front)
		return s.serveAsset(c, file)
	}
}

func pageHeaders(h http.Header, file string, sites siaran.EmbedSites, front string) {
	policy := pagePolicy
	if front != "" {
		policy = strings.Replace(policy, "connect-src 'self'", "connect-src 'self' "+front, 1)
	}
	ancestors, devices := "'none'", "camera=(), microphone=(), display-capture=()"
	switch file {
	case "embed.html":
		ancestors = framers(sites)
	case "studio.html":
		devices = "camera=(self), microphone=(self), display-capture=(self)"
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	h.Set(echo.HeaderContentSecurityPolicy, policy+ancestors)
	h.Set("Permissions-Policy", devices+", geolocation=(), payment=(), usb=()")
}

// streamPage is page for an address with the name of a stream, known or not: it may still go live. For a public stream
// that is live on another server it redirects there. The head of the page has the title of a public stream, for
// previews of links. If the stream is live here, the page tells its player, which then opens a session at once.
func (s *Server) streamPage(file string) echo.HandlerFunc {
	page := s.page(file)
	return func(c echo.Context) error {
		name, err := streamParam(c)
		if err != nil {
			return err
		}
		ctx := c.Request().Context()
		p := pageOf{front: s.cfg.FrontURL}
		g, err := s.authorizeFor(ctx, c, wish{scope: access.Watch, stream: name}) // browsers open pages without a token
		if err == nil && g.found {
			_, err := s.cfg.Hub.Broadcast(name)
			url, live := s.pageElsewhere(ctx, c, g.stream, err == nil)
			if url != "" {
				return redirectTo(c, url)
			}
			p.stream, p.live = g.stream, live
		}
		if url := s.ownPage(c); url != "" {
			return redirectTo(c, url)
		}
		c.Set(about, p)
		return page(c)
	}
}

// about is the key in the echo.Context of a pageOf, from streamPage to page.
const about = "about"

// pageOf is what a page shows.
type pageOf struct {
	stream siaran.Stream
	live   bool   // on this server
	front  string // where the page goes when this server has died; may be empty
}

var (
	titleElement  = []byte("<title>Siaran</title>")
	playerElement = []byte("<siaran-player ")
	endOfHead     = []byte("</head>")
)

// of returns the page with what is known about its stream: for previews of links (ogp.me) and for its player.
func (a asset) of(p pageOf) asset {
	body := a.body
	if p.stream.Title != "" {
		title, about := html.EscapeString(p.stream.Title), html.EscapeString(p.stream.Description)
		head := "<title>" + title + " · Siaran</title>\n" +
			"  <meta property=\"og:title\" content=\"" + title + "\">\n" +
			"  <meta property=\"og:type\" content=\"video.other\">\n" +
			"  <meta property=\"og:site_name\" content=\"Siaran\">"
		if about != "" {
			head += "\n  <meta property=\"og:description\" content=\"" + about + "\">"
		}
		body = bytes.Replace(body, titleElement, []byte(head), 1)
	}
	if p.live {
		body = bytes.Replace(body, playerElement, []byte("<siaran-player live "), 1)
	}
	if p.front != "" {
		meta := "  <meta name=\"siaran-front\" content=\"" + html.EscapeString(p.front) + "\">\n</head>"
		body = bytes.Replace(body, endOfHead, []byte(meta), 1)
	}
	if len(body) == len(a.body) {
		return a
	}
	sum := sha256.Sum256(body)
	return asset{body: body, contentType: a.contentType, tag: hex.EncodeToString(sum[:12])}
}

// forPeople reports whether a request is for a page that a person will look at.
func forPeople(r *http.Request) bool {
	for _, prefix := range []string{"/api/", "/whip", "/whep", "/static/"} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			return false
		}
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return reads && strings.Contains(r.Header.Get(echo.HeaderAccept), "text/html")
}

// missing sends the page for an address where there is nothing.
func (s *Server) missing(c echo.Context) {
	a := s.assets.byPath["missing.html"]
	c.Response().Header().Set(echo.HeaderContentSecurityPolicy, pagePolicy+"'none'")
	_ = send(c, http.StatusNotFound, a.contentType, a.body) // if that fails, the client has gone
}

func (s *Server) static(c echo.Context) error {
	c.Response().Header().Set("Cross-Origin-Resource-Policy", "cross-origin") // the player is used by other sites
	return s.serveAsset(c, c.Param("*"))
}

func (s *Server) favicon(c echo.Context) error { return s.serveAsset(c, "mark.svg") }

func (s *Server) robots(c echo.Context) error { return s.serveAsset(c, "robots.txt") }

func (s *Server) serveAsset(c echo.Context, name string) error {
	a, ok := s.assets.byPath[name]
	if !ok {
		return echo.ErrNotFound
	}
	if p, ok := c.Get(about).(pageOf); ok {
		a = a.of(p)
	}
	a.serve(c)
	return nil
}

func (a asset) serve(c echo.Context) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, a.contentType)
	h.Set("Cache-Control", "no-cache") // browsers ask each time, and get 304 for unchanged files
	body, tag := a.body, a.tag
	if a.packed != nil {
		h.Add(echo.HeaderVary, echo.HeaderAcceptEncoding)
		if takesGzip(c.Request()) {
			h.Set(echo.HeaderContentEncoding, "gzip")
			body, tag = a.packed, a.tag+"-gzip"
			c.Response().Before(func() { // ServeContent sets no length of encoded bodies
				if c.Response().Status == http.StatusOK {
					h.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
				}
			})
		}
	}
	h.Set("ETag", quoteTag(tag))
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(body))
}

// takesGzip reads Accept-Encoding (RFC 9110 section 12.5.3), as far as browsers use it.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get(echo.HeaderAcceptEncoding), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return !strings.HasPrefix(strings.ReplaceAll(weight, " ", ""), "q=0")
		}
	}
	return false
}
