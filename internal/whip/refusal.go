package whip

import (
	"errors"
	"fmt"
	"net/http"

	"siaran/internal/signalling"
)

// advise adds advice to a refusal.
func advise(err error) error {
	var refusal *signalling.Error
	if !errors.As(err, &refusal) {
		return err
	}
	switch refusal.Code {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w; set a valid token with --token or SIARAN_TOKEN (siaran token makes one)", err)
	case http.StatusForbidden:
		return fmt.Errorf("%w; the token is for another stream, or does not allow publishing", err)
	case http.StatusNotFound:
		return fmt.Errorf("%w; check the URL, which looks like http://host:8080/whip/cats", err)
	}
	return err
}
