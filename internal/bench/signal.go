package bench

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"time"

	"siaran/internal/signalling"
)

const dialTime = 10 * time.Second

// endpoint is where to send offers.
type endpoint struct {
	*signalling.Client
	url *url.URL
}

// newEndpoint returns a client that tolerates common mistakes of other servers.
func newEndpoint(address, token string, client *http.Client) (endpoint, error) {
	u, err := url.Parse(address)
	if err != nil {
		return endpoint{}, err
	}
	c := signalling.New(client, token)
	c.Lenient = true
	return endpoint{c, u}, nil
}

// newHTTPClient returns a client that uses up to so many connections to a server.
func newHTTPClient(connections int, roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTime}).DialContext,
		MaxIdleConnsPerHost: connections,
		MaxConnsPerHost:     connections,
		IdleConnTimeout:     time.Minute,
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{RootCAs: roots},
	}}
}
