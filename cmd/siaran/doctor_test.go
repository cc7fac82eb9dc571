package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/doctor"
	"siaran/web/access"
)

// examine looks at a server from outside.
func examine(t *testing.T, cfg doctor.ServerConfig) *doctor.Report {
	t.Helper()
	r, err := doctor.Server(t.Context(), cfg, func(c doctor.Check) { t.Log(c) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestDoctorFindsAHealthyServerWell over HTTPS, with media sent directly, through the relay over each transport, and
// over TCP.
func TestDoctorFindsAHealthyServerWell(t *testing.T) {
	s := harness.StartSecure(t)
	r := examine(t, doctor.ServerConfig{URL: s.URL, Token: s.Token(t, access.AllStreams, access.Publish),
		Roots: s.CA.Pool()})
	for _, c := range r.Checks {
		if c.Status != doctor.OK {
			t.Errorf("%s", c)
		}
	}
	if !r.OK || len(r.Checks) != 14 {
		t.Errorf("%d findings", len(r.Checks))
	}
	harness.Eventually(t, "the stream of the doctor is gone", func() bool {
		return !strings.Contains(s.Body(t, "/api/streams", s.Admin), "doctor-")
	})
}

// TestDoctorFromTheCommandLine: what is printed, and the exit codes.
func TestDoctorFromTheCommandLine(t *testing.T) {
	s := harness.Start(t, func(c *server.Config) { c.Demo = true })
	harness.Eventually(t, "the demo is live", func() bool {
		return strings.Contains(s.Body(t, "/api/streams", s.Admin), `"demo"`)
	})
	code, out, stderr := command(t.Context(), "doctor", "--url", s.URL)
	if code != 0 || stderr != "" || !strings.Contains(out, "\nok    udp: media came directly from "+s.Media) ||
		!strings.Contains(out, "\nok    turn-tcp: media came through the relay") ||
		!strings.Contains(out, "\nskip  ice-tcp: ") {
		t.Errorf("%d %q %q", code, out, stderr)
	}

	// On its machine, with its settings: busy ports are its own.
	same := []string{"doctor", "--listen", s.Address(), "--udp", s.Media, "--tcp=", "--turn=", "--data", s.Data, "--json"}
	code, out, stderr = command(t.Context(), same...)
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || stderr != "" || !r.OK {
		t.Fatalf("%d %v %q %q", code, err, out, stderr)
	}
	harness.WantFinding(t, &r, "port-http", doctor.OK, "by the running server")
	harness.WantFinding(t, &r, "port-media", doctor.OK, "by the running server")
	harness.WantFinding(t, &r, "data", doctor.OK, "by the running server")

	// Another server with the same ports cannot start.
	code, out, stderr = command(t.Context(), "doctor", "--listen", s.Address(), "--udp", s.Media, "--tcp=", "--turn=",
		"--data", t.TempDir())
	if code != 1 || !strings.Contains(out, "fail  port-http: TCP "+s.Address()+" is in use by another Siaran") ||
		!strings.Contains(out, "fail  port-media: ") || !strings.Contains(stderr, "2 checks have failed") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

func TestDoctorReadsTheConfiguration(t *testing.T) {
	path := harness.WriteFile(t, "siaran.yaml", "listen: 127.0.0.1:0\nudp: 127.0.0.1:0\ndata: "+t.TempDir()+
		"\ntls-cert: /no/cert.pem\ntls-key: /no/key.pem\n")
	code, out, _ := command(t.Context(), "doctor", "--config", path)
	if code != 1 || !strings.Contains(out, "fail  certificate: /no/cert.pem cannot be read") ||
		!strings.Contains(out, "ok    port-media: UDP 127.0.0.1:0 is free") {
		t.Errorf("%d %q", code, out)
	}
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"doctor --grace 2h --udp nonsense", 1, "--grace"},
		{"doctor --url live.example.org", 2, "--url"},
		{"doctor --lisen :1", 2, "--lisen"},
		{"doctor --config " + harness.WriteFile(t, "bad.yaml", "url: https://live.example.org\n"), 2, `no setting "url"`},
		{"doctor --url http://127.0.0.1:1", 1, "nothing listens"},
	} {
		code, out, stderr := command(t.Context(), strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out+stderr, test.says) {
			t.Errorf("%s: %d %q %q", test.args, code, out, stderr)
		}
	}
}

// between is a proxy before a server that may change the answers.
func between(t *testing.T, s *harness.Server, change func(*http.Response) error) string {
	t.Helper()
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	p := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: change, Transport: transport,
	})
	t.Cleanup(p.Close)
	return p.URL
}

// astray is a proxy whose answers name another media port for UDP.
func astray(t *testing.T, s *harness.Server, to netip.AddrPort) string {
	media, err := netip.ParseAddrPort(s.Media)
	if err != nil {
		t.Fatal(err)
	}
	words := func(a netip.AddrPort) string { return fmt.Sprint(a.Addr(), " ", a.Port()) }
	return between(t, s, func(res *http.Response) error {
		if res.StatusCode != http.StatusCreated {
			return nil
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		var out []string
		for _, line := range strings.SplitAfter(string(text), "\n") {
			if strings.HasPrefix(line, "a=candidate") && strings.Contains(strings.ToLower(line), " udp ") {
				line = strings.ReplaceAll(line, words(media), words(to))
			}
			out = append(out, line)
		}
		body := []byte(strings.Join(out, ""))
		res.Body = io.NopCloser(bytes.NewReader(body))
		res.ContentLength = int64(len(body))
		res.Header.Del("Content-Length")
		return nil
	})
}

// TestDoctorSeesBlockedUDP: the media port of the answer drops all that comes, as behind a firewall.
func TestDoctorSeesBlockedUDP(t *testing.T) {
	s := harness.Start(t)
	wall, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer wall.Close()
	dropping := wall.LocalAddr().(*net.UDPAddr).AddrPort()
	r := examine(t, doctor.ServerConfig{URL: astray(t, s, dropping), Token: s.Token(t, access.AllStreams, access.Publish)})
	harness.WantFinding(t, r, "udp", doctor.Fail, "no route over UDP: "+dropping.String())
	harness.WantFinding(t, r, "turn-udp", doctor.Fail, "nothing comes back") // the relay knows no such media port
	harness.WantFinding(t, r, "ice-tcp", doctor.OK, "connected")
	if r.OK {
		t.Error("that is not well")
	}
}

// TestDoctorSeesTheWrongAddress: the answer names one that is not the server's. Its relay refuses to go there.
func TestDoctorSeesTheWrongAddress(t *testing.T) {
	s := harness.Start(t)
	r := examine(t, doctor.ServerConfig{URL: astray(t, s, netip.MustParseAddrPort("127.9.9.9:9")),
		Token: s.Token(t, access.AllStreams, access.Publish)})
	harness.WantFinding(t, r, "udp", doctor.Fail, "correct --public-ip")
	harness.WantFinding(t, r, "turn-udp", doctor.Fail, "refuses to reach the media port 127.9.9.9:9 (403)")
	harness.WantFinding(t, r, "turn-tcp", doctor.Fail, "(403)")
}

// TestDoctorSeesClocksThatDiffer through a proxy that shifts the Date.
func TestDoctorSeesClocksThatDiffer(t *testing.T) {
	s := harness.Start(t)
	u := between(t, s, func(res *http.Response) error {
		res.Header.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		return nil
	})
	harness.WantFinding(t, examine(t, doctor.ServerConfig{URL: u}), "clock", doctor.Fail, "ahead of")
}

// TestDoctorWithoutARelay says so, and what it means.
func TestDoctorWithoutARelay(t *testing.T) {
	none := ""
	s := harness.Start(t, func(c *server.Config) { c.TURN, c.TURNS, c.TCP = &none, &none, &none })
	r := examine(t, doctor.ServerConfig{URL: s.URL, Token: s.Token(t, access.AllStreams, access.Publish)})
	harness.WantFinding(t, r, "ice", doctor.Warn, "--turn")
	harness.WantFinding(t, r, "turn-udp", doctor.Skip, "no relay over UDP")
	harness.WantFinding(t, r, "udp", doctor.OK, "media came directly")
	harness.WantFinding(t, r, "ice-tcp", doctor.Skip, "--tcp is off")
}

// TestDoctorWithTheWrongToken falls back to what is live.
func TestDoctorWithTheWrongToken(t *testing.T) {
	s := harness.Start(t, func(c *server.Config) { c.Demo = true })
	harness.Eventually(t, "the demo is live", func() bool {
		return strings.Contains(s.Body(t, "/api/streams", s.Admin), `"demo"`)
	})
	r := examine(t, doctor.ServerConfig{URL: s.URL, Token: s.Token(t, "cats", access.Publish)})
	harness.WantFinding(t, r, "stream", doctor.Fail, "does not allow publishing doctor-")
	harness.WantFinding(t, r, "udp", doctor.OK, "media came")
}

// TestDoctorLeavesNothing on a machine that it only looks at.
func TestDoctorLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if code, out, stderr := command(t.Context(), "doctor", "--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--data",
		dir); code != 0 {
		t.Fatalf("%d %q %q", code, out, stderr)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v %v", entries, err)
	}
}

// TestDoctorAsksFirestore and leaves nothing in it.
func TestDoctorAsksFirestore(t *testing.T) {
	_, project := harness.UseFirestore(t)
	args := []string{"doctor", "--dev", "--listing", "firestore", "--firebase-project", project, "--listen",
		"127.0.0.1:0", "--udp", "127.0.0.1:0", "--data", t.TempDir()}
	code, out, stderr := command(t.Context(), args...)
	if code != 0 || !strings.Contains(out, "ok    firestore: the database can be read and written") ||
		!strings.Contains(out, "ok    emulators: FIRESTORE_EMULATOR_HOST=") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	code, out, _ = command(t.Context(), append(args[:1:1], args[2:]...)...)
	if code != 1 || !strings.Contains(out, "fail  config: FIRESTORE_EMULATOR_HOST=") {
		t.Errorf("without --dev: %d %q", code, out)
	}
	t.Setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
	code, out, _ = command(t.Context(), args...)
	if code != 1 || !strings.Contains(out, "fail  firestore: ") {
		t.Errorf("unreachable: %d %q", code, out)
	}
}
