package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Port is a port that the server opens.
type Port struct {
	Name    string // of the check
	Network string // tcp or udp
	Address string // as configured: host:port or :port
	Flag    string // that sets the address, such as --listen
	HTTP    bool   // for pages and the API
	TLS     bool   // HTTPS
	Spare   bool   // the server starts without it if it is in use
}

// number returns the port number, or 0 if the system chooses it.
func (p Port) number() string {
	_, port, _ := net.SplitHostPort(p.Address)
	return port
}

// running describes the server that may be running during the checks.
type running struct {
	locked  bool   // a server uses the data folder
	answers bool   // Siaran answers at the HTTP port
	other   string // what answers there instead, if anything
}

// ours reports whether a server with this configuration is running.
func (r running) ours() bool { return r.locked && r.answers }

// findRunning finds out what answers at the HTTP port.
func findRunning(ctx context.Context, data string, ports []Port) running {
	r := running{locked: dataLocked(data)}
	for _, p := range ports {
		if p.HTTP {
			r.answers, r.other = askSiaran(ctx, p)
		}
	}
	return r
}

// askSiaran requests /healthz and the description of the API, on this machine. other describes another program that
// answers.
func askSiaran(ctx context.Context, p Port) (siaran bool, other string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	base := "http://" + onThisMachine(p.Address)
	if p.TLS {
		base = "https://" + onThisMachine(p.Address)
	}
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // no secret is sent
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return 0, ""
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, ""
		}
		defer res.Body.Close() // was read as far as it matters
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return res.StatusCode, string(text)
	}
	status, text := get("/healthz")
	if status == 0 {
		return false, ""
	}
	if status == http.StatusOK && strings.Contains(text, `"status":"ok"`) {
		if status, text := get("/api/openapi.yaml"); status == http.StatusOK && strings.Contains(text, "title: Siaran") {
			return true, ""
		}
	}
	return false, fmt.Sprintf("another program that speaks HTTP (its /healthz answers %d)", status)
}

// onThisMachine returns the address at which a port is reached from this machine.
func onThisMachine(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// checkPort opens a port and closes it again.
func checkPort(ctx context.Context, p Port, r running) Check {
	what := strings.ToUpper(p.Network) + " " + p.Address
	err := tryPort(ctx, p)
	switch {
	case err == nil && r.ours() && p.number() != "0":
		return warn(p.Name, what+" is free although the server is running: it was started with other settings.",
			"Restart it, or give doctor the settings that it runs with.")
	case err == nil:
		return ok(p.Name, "%s is free.", what)
	case errors.Is(err, syscall.EADDRINUSE) && r.ours():
		return ok(p.Name, "%s is in use by the running server.", what)
	case errors.Is(err, syscall.EADDRINUSE) && p.HTTP && r.answers:
		return fail(p.Name, what+" is in use by another Siaran with another data folder.",
			"Stop it, or choose another port with "+p.Flag+".")
	case errors.Is(err, syscall.EADDRINUSE):
		who := "another program"
		if p.HTTP && r.other != "" {
			who = r.other
		}
		say, without := fail, ""
		if p.Spare {
			say, without = warn, " The server starts without it."
		}
		return say(p.Name, what+" is in use by "+who+"."+without,
			fmt.Sprintf("Stop it (ss -l%spn 'sport = :%s' shows it), or choose another port with %s.", p.Network[:1],
				p.number(), p.Flag))
	case errors.Is(err, syscall.EACCES):
		return fail(p.Name, "this user may not open "+what+".",
			"Choose a port above 1023 with "+p.Flag+", or allow it (setcap cap_net_bind_service=+ep siaran, or "+
				"AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit).")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fail(p.Name, what+" is not an address of this machine.",
			"Set "+p.Flag+" to the port alone, such as :"+p.number()+", or to an address of an interface.")
	}
	return fail(p.Name, fmt.Sprintf("%s cannot be opened: %v.", what, err), "Correct "+p.Flag+".")
}

func tryPort(ctx context.Context, p Port) error {
	var lc net.ListenConfig
	if p.Network == "udp" {
		conn, err := lc.ListenPacket(ctx, "udp", p.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	l, err := lc.Listen(ctx, "tcp", p.Address)
	if err != nil {
		return err
	}
	return l.Close()
}
