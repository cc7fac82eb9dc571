// Package iceurl reads the URLs of STUN and TURN servers.
package iceurl

import (
	"errors"
	"regexp"

	"github.com/pion/stun"
)

// endless is what stun.ParseURI does not come back from: brackets with something other than a port behind them.
var endless = regexp.MustCompile(`\][^:?#]`)

// Parse reads a stun, stuns, turn or turns URL (RFC 7064, RFC 7065), whoever wrote it.
func Parse(text string) (*stun.URI, error) {
	if endless.MatchString(text) {
		return nil, errors.New("something other than a port behind the brackets")
	}
	return stun.ParseURI(text)
}
