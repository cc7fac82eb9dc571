package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const healthTime = 5 * time.Second

// healthcheckCommand checks that the server in the same container responds, for images that contain no other program.
// It does not check whether the listing can be reached: a restart for that reason would end all broadcasts.
type healthcheckCommand struct {
	Listen string `placeholder:"ADDRESS" help:"The --listen of serve (default :8080 or :443, as for serve)."`
}

// Run fails if the server does not respond.
func (h healthcheckCommand) Run(ctx context.Context) error {
	addresses := []string{h.Listen}
	if h.Listen == "" {
		addresses = []string{":8080", ":443"} // which one depends on settings that may be in a file
	}
	transport := &http.Transport{
		// The certificate is for another name. No secret is sent, and no content is trusted.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	var failed []error
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("--listen %q: give host:port or :port", address)
		}
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "localhost" // IPv4 or IPv6
		}
		for _, scheme := range []string{"http", "https"} {
			err := health(ctx, client, scheme+"://"+net.JoinHostPort(host, port)+"/healthz")
			if err == nil {
				return nil
			}
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func health(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responds with %s", url, res.Status)
	}
	return nil
}
