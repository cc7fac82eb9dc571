package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

//go:embed static
var staticFiles embed.FS

// asset is one file of the pages, read at the start.
type asset struct {
	body        []byte
	contentType string
	tag         string // an entity tag over the body
}

type assets struct {
	byPath map[string]asset // without a leading slash
}

// mimeTypes are given here so that they do not depend on the machine.
var mimeTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8",
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
		sum := sha256.Sum256(body)
		contentType := mimeTypes[path.Ext(name)]
		if contentType == "" {
			contentType = mime.TypeByExtension(path.Ext(name))
		}
		a.byPath[strings.TrimPrefix(name, "static/")] = asset{body: body, contentType: contentType, tag: quoteTag(hex.EncodeToString(sum[:12]))}
		return nil
	})
}

// guard sets the headers that keep browsers careful; handlers of pages say more.
func guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
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
	ancestors, devices := "'none'", "camera=(), microphone=(), display-capture=()"
	switch file {
	case "embed.html":
		ancestors = "*"
	case "studio.html":
		devices = "camera=(self), microphone=(self), display-capture=(self)"
	}
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderContentSecurityPolicy, pagePolicy+ancestors)
		h.Set("Permissions-Policy", devices+", geolocation=(), payment=(), usb=()")
		if file == "studio.html" {
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
		}
		return s.serveAsset(c, file)
	}
}

// streamPage is page for an address with the name of a stream in it, known or not: it may go live yet.
func (s *Server) streamPage(file string) echo.HandlerFunc {
	page := s.page(file)
	return func(c echo.Context) error {
		if _, err := streamParam(c); err != nil {
			return err
		}
		return page(c)
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
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, a.contentType)
	h.Set("ETag", a.tag)
	h.Set("Cache-Control", "no-cache") // asked for again each time; unchanged files cost a 304
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(a.body))
	return nil
}
