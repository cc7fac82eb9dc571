package web

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// Limits of bodies, in bytes.
const (
	maxOffer    = 64 << 10
	maxFragment = 16 << 10
	maxJSON     = 16 << 10
)

// readBody reads the whole body, which must be of the content type. Parameters of the type do not matter.
func readBody(c echo.Context, contentType string, limit int64) ([]byte, error) {
	r := c.Request()
	types := r.Header.Values(echo.HeaderContentType)
	if got, _, _ := strings.Cut(strings.Join(types, ","), ";"); !strings.EqualFold(strings.TrimSpace(got), contentType) {
		return nil, fail(http.StatusUnsupportedMediaType, "the body must be %s", contentType)
	}
	if coding := r.Header.Get(echo.HeaderContentEncoding); coding != "" && !strings.EqualFold(coding, "identity") {
		c.Response().Header().Set(echo.HeaderAcceptEncoding, "identity") // RFC 9110 section 12.5.3
		return nil, fail(http.StatusUnsupportedMediaType, "the body must not be compressed")
	}
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, limit))
	if err != nil {
		if f := explain(err); f.status < 500 {
			return nil, f
		}
		return nil, fail(http.StatusBadRequest, "the body ended too early")
	}
	return body, nil
}

// readJSON reads a JSON object. Unknown members are ignored.
func readJSON(c echo.Context, into any) error {
	body, err := readBody(c, echo.MIMEApplicationJSON, maxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fail(http.StatusBadRequest, "the body is not the JSON expected here; see /api/openapi.yaml")
	}
	return nil
}
