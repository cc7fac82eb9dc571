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
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
)

//go:embed static
var staticFiles embed.FS

// asset is one file of the pages, read at the start.
type asset struct {
	body        []byte
	packed      []byte // body in gzip, nil where that is not smaller
	contentType string
	tag         string // an entity tag over the body, without quotes
}

type assets struct {
	byPath map[string]asset // without a leading slash
}

// mimeTypes are given here so that they do not depend on the machine.
var mimeTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8",
	".md": "text/plain; charset=utf-8", "": "text/plain; charset=utf-8",
	".woff2": "font/woff2", ".webmanifest": "application/manifest+json", ".webp": "image/webp", ".jpg": "image/jpeg",
}

func readAssets() (*assets, error) {
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
}

func newAsset(body []byte, contentType string) asset {
	sum := sha256.Sum256(body)
	a := asset{body: body, contentType: contentType, tag: hex.EncodeToString(sum[:12])}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(body) // into memory: cannot fail
	z.Close()
	if packed.Len() < len(body)*9/10 {
		a.packed = packed.Bytes()
	}
	return a
}

// guard sets the headers that keep browsers careful; handlers of pages say more.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		if s.cfg.HSTS > 0 {
			h.Set(echo.HeaderStrictTransportSecurity, "max-age="+strconv.Itoa(int(s.cfg.HSTS.Seconds())))
		}
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderReferrerPolicy, "no-referrer")
		h.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
		return next(c)
	}
}

// pagePolicy is the Content-Security-Policy of pages: everything comes from this server, nothing is inline.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; " +
	"font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "

// page serves an HTML file. Only the embedded player may stand in frames of other sites, and only the studio may use devices.
func (s *Server) page(file string) echo.HandlerFunc {
	return func(c echo.Context) error {
		pageHeaders(c.Response().Header(), file)
		return s.serveAsset(c, file)
	}
}

func pageHeaders(h http.Header, file string) {
	ancestors, devices := "'none'", "camera=(), microphone=(), display-capture=()"
	switch file {
	case "embed.html":
		ancestors = "*"
	case "studio.html":
		devices = "camera=(self), microphone=(self), display-capture=(self)"
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	h.Set(echo.HeaderContentSecurityPolicy, pagePolicy+ancestors)
	h.Set("Permissions-Policy", devices+", geolocation=(), payment=(), usb=()")
}

// streamPage is page for an address with the name of a stream in it, known or not: it may go
// live yet. A public stream that is live on another server is watched there. Where a public stream has a title, the page's head tells it to those who make previews of links.
func (s *Server) streamPage(file string) echo.HandlerFunc {
	page := s.page(file)
	return func(c echo.Context) error {
		name, err := streamParam(c)
		if err != nil {
			return err
		}
		stream, known, err := s.lookupFor(c.Request().Context(), c, "", name)
		if err == nil && known && stream.Visibility == siaran.VisibilityPublic {
			if _, err := s.cfg.Hub.Broadcast(name); err != nil {
				if there := s.elsewhere(c.Request().Context(), c, stream); there != "" {
					return sendThere(c, there)
				}
			}
			if stream.Title != "" {
				c.Set(titled, stream)
			}
		}
		return page(c)
	}
}

// titled is under which streamPage hands a stream to page.
const titled = "titled"

var titleElement = []byte("<title>Siaran</title>")

// withTitle is the page with what link previews read (ogp.me).
func (a asset) withTitle(s siaran.Stream) asset {
	title, about := html.EscapeString(s.Title), html.EscapeString(s.Description)
	head := "<title>" + title + " · Siaran</title>\n  <meta property=\"og:title\" content=\"" + title + "\">\n" +
		"  <meta property=\"og:type\" content=\"video.other\">\n  <meta property=\"og:site_name\" content=\"Siaran\">"
	if about != "" {
		head += "\n  <meta property=\"og:description\" content=\"" + about + "\">"
	}
	body := bytes.Replace(a.body, titleElement, []byte(head), 1)
	sum := sha256.Sum256(body)
	return asset{body: body, contentType: a.contentType, tag: hex.EncodeToString(sum[:12])}
}

// forPeople tells whether a request is for a page that somebody will look at.
func forPeople(r *http.Request) bool {
	for _, prefix := range []string{"/api/", "/whip", "/whep", "/static/"} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			return false
		}
	}
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get(echo.HeaderAccept), "text/html")
}

// missing is the page for an address with nothing under it.
func (s *Server) missing(c echo.Context) {
	a := s.assets.byPath["missing.html"]
	h := c.Response().Header()
	h.Set(echo.HeaderContentSecurityPolicy, pagePolicy+"'none'")
	h.Set(echo.HeaderContentType, a.contentType)
	c.Response().WriteHeader(http.StatusNotFound)
	if c.Request().Method == http.MethodGet {
		c.Response().Write(a.body)
	}
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
	if stream, ok := c.Get(titled).(siaran.Stream); ok {
		a = a.withTitle(stream)
	}
	a.serve(c)
	return nil
}

func (a asset) serve(c echo.Context) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, a.contentType)
	h.Set("Cache-Control", "no-cache") // asked for again each time; unchanged files cost a 304
	body, tag := a.body, a.tag
	if a.packed != nil {
		h.Add(echo.HeaderVary, echo.HeaderAcceptEncoding)
		if takesGzip(c.Request()) {
			h.Set(echo.HeaderContentEncoding, "gzip")
			body, tag = a.packed, a.tag+"-gzip"
		}
	}
	h.Set("ETag", quoteTag(tag))
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(body))
}

// takesGzip is RFC 9110 section 12.5.3, as far as browsers make use of it.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get(echo.HeaderAcceptEncoding), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return !strings.HasPrefix(strings.ReplaceAll(weight, " ", ""), "q=0")
		}
	}
	return false
}
