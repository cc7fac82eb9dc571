package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"siaran"
)

// bearer returns the token of a request, or "" if there is none. The case of the scheme does not matter (RFC 6750
// section 2.1), and some players send the token without a scheme.
func bearer(r *http.Request) string {
	header := strings.TrimSpace(r.Header.Get(echo.HeaderAuthorization))
	scheme, token, found := strings.Cut(header, " ")
	if !found {
		return header
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return header // no token contains a space, so this one will be refused
	}
	return strings.TrimSpace(token)
}

// oneToken refuses a request with several tokens: a proxy might read a different one than this server does.
func oneToken(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if values := c.Request().Header.Values(echo.HeaderAuthorization); len(slices.Compact(values)) > 1 {
			return fail(severalTokens, "the request has several Authorization fields: send one")
		}
		return next(c)
	}
}

// endpointToken is bearer for WHIP and WHEP, where the token may also be in the query: some encoders have no field for
// a header.
func endpointToken(r *http.Request) string {
	if token := bearer(r); token != "" {
		return token
	}
	return r.URL.Query().Get("token")
}

// reserved cannot be the name of a stream: /api/streams/events is the event stream.
const reserved = "events"

// streamName is siaran.ParseStreamName, and also refuses the reserved name.
func streamName(text string) (siaran.StreamName, error) {
	if text == reserved {
		return "", fail(noStreamName, "no stream can be called '%s': choose another name", reserved)
	}
	return siaran.ParseStreamName(text)
}

// streamParam returns the stream in the path.
func streamParam(c echo.Context) (siaran.StreamName, error) {
	return streamName(c.Param("stream"))
}
