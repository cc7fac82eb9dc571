package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxBody = 1 << 20 // bytes

// ask does one exchange with the server. The token is sent only if one is given.
func (o *remote) ask(ctx context.Context, method, path, token string, body any, header ...string) (*http.Response,
	[]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, httpTime)
	defer cancel()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, nil, err
		}
		in = strings.NewReader(string(text))
	}
	req, err := http.NewRequestWithContext(ctx, method, o.url.String()+path, in)
	if err != nil {
		return nil, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := o.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, nil, err
	}
	defer res.Body.Close() // was read as far as it matters
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	return res, text, err
}

// detail returns a server's own words about a refusal (RFC 9457).
func detail(body []byte) string {
	var problem struct{ Title, Detail string }
	if json.Unmarshal(body, &problem) != nil {
		return ""
	}
	if problem.Detail != "" {
		return ": " + problem.Detail[:min(len(problem.Detail), 200)]
	}
	return ": " + problem.Title[:min(len(problem.Title), 200)]
}

// checkHTTP checks that Siaran answers, and compares the clocks.
func (o *remote) checkHTTP(ctx context.Context) bool {
	const name = "http"
	begun := time.Now()
	res, body, err := o.ask(ctx, http.MethodGet, "/healthz", "", nil)
	if err != nil {
		o.add(fail(name, fmt.Sprintf("the server does not answer over HTTP: %s.", plainDial(err)),
			"Check the server, or the proxy in front of it; its log may say more."))
		return false
	}
	came := time.Now()
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		to := res.Header.Get("Location")
		if u, err := res.Location(); err == nil {
			to = u.Scheme + "://" + u.Host
		}
		o.add(fail(name, fmt.Sprintf("the server redirects to %s.", to), "Give "+o.flag+" that address, if it is yours."))
		return false
	case res.StatusCode == http.StatusBadGateway || res.StatusCode == http.StatusServiceUnavailable ||
		res.StatusCode == http.StatusGatewayTimeout:
		o.add(fail(name, fmt.Sprintf("a proxy answers %d: it does not reach the server behind it.", res.StatusCode),
			"Check that the server is running and that the proxy sends requests to its --listen address."))
		return false
	case res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"status"`):
		o.add(fail(name, fmt.Sprintf("this is not Siaran: its /healthz answers %d.", res.StatusCode),
			"Check the address. A proxy must forward all paths."))
		return false
	}
	version := ""
	if res.ProtoMajor == 2 {
		version = " (HTTP/2)"
	}
	o.add(ok(name, "the server answers%s.", version))
	if skew, known := skewOf(res.Header, begun, came); known {
		o.add(checkSkew(skew, o.url.Host))
	} else {
		o.add(skip("clock", "the server sends no Date."))
	}
	return true
}

func (o *remote) checkReady(ctx context.Context) {
	const name = "ready"
	res, body, err := o.ask(ctx, http.MethodGet, "/readyz", "", nil)
	switch {
	case err != nil:
		o.add(fail(name, fmt.Sprintf("/readyz does not answer: %s.", plainDial(err)), "Look at the server's log."))
	case res.StatusCode != http.StatusOK:
		o.add(fail(name, fmt.Sprintf("the server is not ready (%d%s).", res.StatusCode, detail(body)),
			"Look at the server's log, and run siaran doctor on its machine."))
	default:
		o.add(ok(name, "the server accepts broadcasters and viewers."))
	}
}

// checkCORS sends the preflight request of a player on another site.
func (o *remote) checkCORS(ctx context.Context) {
	const name, elsewhere = "cors", "https://elsewhere.example"
	remedy := "For players on other sites, let the proxy forward OPTIONS and all headers, and check --allow-origin."
	res, _, err := o.ask(ctx, http.MethodOptions, "/whep/doctor", "", nil, "Origin", elsewhere,
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,authorization")
	if err != nil {
		o.add(warn(name, fmt.Sprintf("OPTIONS is not answered: %s.", plainDial(err)), remedy))
		return
	}
	origins, headers := res.Header.Values("Access-Control-Allow-Origin"),
		strings.ToLower(res.Header.Get("Access-Control-Allow-Headers"))
	switch {
	case len(origins) == 0:
		o.add(warn(name, "pages on other sites may not call the API.", remedy))
	case len(origins) > 1:
		o.add(warn(name, "Access-Control-Allow-Origin comes twice, which browsers refuse: the proxy adds it too.",
			"Remove CORS headers from the proxy's configuration."))
	case origins[0] != "*" && origins[0] != elsewhere:
		o.add(ok(name, "pages on %s may call the API.", origins[0]))
	case res.StatusCode/100 != 2 || !strings.Contains(headers, "content-type") ||
		!strings.Contains(headers, "authorization"):
		o.add(warn(name, fmt.Sprintf("the answer to OPTIONS (%d) lacks what browsers ask for.", res.StatusCode), remedy))
	default:
		o.add(ok(name, "pages on other sites may call the API."))
	}
}

// iceServer is an entry of /api/ice.
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username"`
	Credential string   `json:"credential"`
}

// checkICE asks which relays clients are told.
func (o *remote) checkICE(ctx context.Context) {
	const name = "ice"
	res, body, err := o.ask(ctx, http.MethodGet, "/api/ice", o.cfg.Token, nil)
	if err != nil {
		o.add(fail(name, fmt.Sprintf("/api/ice does not answer: %s.", plainDial(err)), "Look at the server's log."))
		return
	}
	if res.StatusCode != http.StatusOK {
		o.add(fail(name, fmt.Sprintf("/api/ice says %d%s.", res.StatusCode, detail(body)),
			"Check that the proxy forwards all paths, and that the server has the same version."))
		return
	}
	var list struct {
		ICEServers []iceServer `json:"iceServers"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		o.add(fail(name, "the response of /api/ice cannot be read.",
			"Check the address, and that the server has the same version."))
		return
	}
	o.ice = list.ICEServers[:min(len(list.ICEServers), 16)]
	var urls []string
	for _, s := range o.ice {
		urls = append(urls, s.URLs[:min(len(s.URLs), 8)]...)
	}
	if len(urls) == 0 {
		o.add(warn(name, "clients are given no relay: those who cannot send UDP to the media port cannot watch.",
			"Enable --turn and --turns, or name a relay with --ice-server."))
		return
	}
	o.add(ok(name, "clients are given %s.", strings.Join(urls, ", ")))
}
