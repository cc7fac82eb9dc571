package web

import (
	_ "embed"

	"github.com/labstack/echo/v4"
)

//go:embed openapi.yaml
var openAPIDocument []byte

// openAPI sends the description of everything here that programs use.
func (s *Server) openAPI(c echo.Context) error {
	return send(c, 200, "application/yaml", openAPIDocument)
}
