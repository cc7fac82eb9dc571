package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// What a body may have, in bytes.
const (
	maxOffer    = 64 << 10
	maxFragment = 16 << 10
	maxJSON     = 16 << 10
)

// readBody reads the whole body, which must be of the content type; parameters of the type do not matter.
func readBody(c echo.Context, contentType string, limit int64) ([]byte, error) {
	r := c.Request()
	got, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || !strings.EqualFold(got, contentType) {
		return nil, fail(http.StatusUnsupportedMediaType, "the body must be %s", contentType)
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

// readJSON reads a JSON object. Members it does not know are passed over.
func readJSON(c echo.Context, into any) error {
	body, err := readBody(c, echo.MIMEApplicationJSON, maxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fail(http.StatusBadRequest, "the body is not the JSON that is expected here; see /api/openapi.yaml")
	}
	return nil
}
