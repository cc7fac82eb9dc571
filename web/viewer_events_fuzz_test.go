package web

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"siaran"
)

// FuzzViewersSay reads bodies of both of a viewer's requests. Whatever they hold, what comes of them is within bounds,
// or an error with a status of its own.
func FuzzViewersSay(f *testing.F) {
	for _, body := range []string{
		``, `["active","layers"]`, `[]`, `null`, `[1]`, `{"mediaId":"1","rid":"h","maxHeight":360}`, `{}`,
		`{"spatialLayerId":-1}`, `{"maxWidth":1e99}`, `{"audioOnly":true,"temporalLayerId":7}`, `{"rid":{}}`,
	} {
		f.Add(body)
	}
	e := echo.New()
	f.Fuzz(func(t *testing.T, body string) {
		ask := func() echo.Context {
			r := httptest.NewRequest("POST", "/", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			return e.NewContext(r, httptest.NewRecorder())
		}
		refused := func(err error) bool {
			if err != nil && explain(err).status() >= 500 {
				t.Errorf("%q: %v", body, err)
			}
			return err != nil
		}
		if names, err := readEventNames(ask()); !refused(err) {
			for _, name := range names {
				if len(names) == 0 || !slices.Contains(eventNames, name) {
					t.Errorf("%q: %q", body, names)
				}
			}
		}
		var r layerRequest
		if !refused(readJSON(ask(), &r)) {
			_ = r.choice().Check(&siaran.Track{}) // must not panic
		}
	})
}
