package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
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
		return nil, fail(wrongContentType, "the body must be %s", contentType)
	}
	if coding := r.Header.Get(echo.HeaderContentEncoding); coding != "" && !strings.EqualFold(coding, "identity") {
		c.Response().Header().Set(echo.HeaderAcceptEncoding, "identity") // RFC 9110 section 12.5.3
		return nil, fail(wrongContentType, "the body must not be compressed")
	}
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, limit))
	if err != nil {
		if f := explain(err); f.status() < 500 {
			return nil, f
		}
		return nil, fail(incompleteBody, "the body ended too early")
	}
	return body, nil
}

// readJSON reads JSON. Unknown members of objects are ignored, and those that are null.
func readJSON(c echo.Context, into any) error {
	body, err := readBody(c, echo.MIMEApplicationJSON, maxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return notAsDescribed(err)
	}
	if string(bytes.TrimSpace(body)) == "null" { // which Unmarshal takes for anything
		return fail(malformedJSON, "the body is null; see /api/ for what it must be")
	}
	return nil
}

// notAsDescribed says what is wrong with a body that json.Unmarshal has refused.
func notAsDescribed(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return fail(malformedJSON, "the body is not JSON: %v", err)
	}
	must := "an object"
	switch wrong.Type.Kind() {
	case reflect.String:
		must = "text"
	case reflect.Int, reflect.Int64:
		must = "a whole number"
	case reflect.Float64:
		must = "a number"
	case reflect.Bool:
		must = "true or false"
	case reflect.Slice:
		must = "a list"
	}
	return fail(malformedJSON, "%s must be %s, not %s; see /api/", cmp.Or(wrong.Field, "the body"), must, wrong.Value)
}
