package web

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"sync"

	"github.com/labstack/echo/v4"
)

//go:embed api.html
var apiTemplates string

// apiPages are what is to be read about the API, made from openapi.yaml and problems.go.
type apiPages struct {
	api      asset
	problems map[string]asset // by code
}

// makeAPIPages makes them once for all servers of a process.
var makeAPIPages = sync.OnceValues(func() (*apiPages, error) {
	templates, err := template.New("").Parse(apiTemplates)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	doc, err := readDocument(openAPIDocument)
	if err != nil {
		return nil, fmt.Errorf("web: openapi.yaml: %w", err)
	}
	render := func(name string, data any) (asset, error) {
		var b bytes.Buffer
		err := templates.ExecuteTemplate(&b, name, data)
		return newAsset(b.Bytes(), mimeTypes[".html"]), err
	}
	pages := &apiPages{problems: make(map[string]asset)}
	for _, k := range problemKinds {
		if pages.problems[k.Code], err = render("problem", k); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
	}
	doc.Problems = slices.SortedStableFunc(slices.Values(problemKinds), func(a, b *problemKind) int {
		return cmp.Compare(a.Status, b.Status)
	})
	if pages.api, err = render("api", doc); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return pages, nil
})

// apiPage shows the description of the API to people.
func (s *Server) apiPage(c echo.Context) error {
	pageHeaders(c.Response().Header(), "api.html", "", "")
	s.apiPages.api.serve(c)
	return nil
}

// problemPage explains a kind of problem.
func (s *Server) problemPage(c echo.Context) error {
	page, ok := s.apiPages.problems[c.Param("problem")]
	if !ok {
		return echo.ErrNotFound
	}
	pageHeaders(c.Response().Header(), "problem.html", "", "")
	page.serve(c)
	return nil
}
