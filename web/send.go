package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// send answers with a body and its length (RFC 9110 section 8.6), which net/http sets only for short bodies: some
// clients cannot read chunks. HEAD gets the same without the body.
func send(c echo.Context, status int, contentType string, body []byte) error {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, contentType)
	h.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	c.Response().WriteHeader(status)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	_, err := c.Response().Write(body)
	return err
}

// sendJSON answers with JSON that must not be cached, unless the handler has set something else.
func sendJSON(c echo.Context, status int, body any) error {
	if h := c.Response().Header(); h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return send(c, status, echo.MIMEApplicationJSON, append(text, '\n'))
}
