package whip

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"siaran/internal/signalling"
)

// advise adds advice to a refusal of an offer to endpoint.
func advise(err error, endpoint *url.URL) error {
	var refusal *signalling.Error
	if !errors.As(err, &refusal) {
		return err
	}
	switch refusal.Code {
	case http.StatusConflict: // for a server, the offer of a viewer of a stream that is not live
		if strings.HasPrefix(endpoint.Path, "/whep/") {
			return fmt.Errorf("%w; %s is for watching: to broadcast, use /whip/", err, endpoint.Path)
		}
	case http.StatusUnauthorized:
		return fmt.Errorf("%w; set a valid token with --token or SIARAN_TOKEN (siaran token makes one)", err)
	case http.StatusForbidden:
		return fmt.Errorf("%w; the token is for another stream, or does not allow publishing", err)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("%w; check the URL, which looks like http://host:8080/whip/cats", err)
	}
	return err
}
