package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siaran/web/access"
)

// TestRequestsThatAreRefused sends what a client should not: each gets its status and problem+json that says what is wrong.
func TestRequestsThatAreRefused(t *testing.T) {
	s := startServer(t)
	publish := s.token(t, "cats", access.Publish)
	expired, err := s.secret.Mint(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Publish}, Expires: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	const sdp = "application/sdp"
	const junk = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	for _, test := range []struct {
		name, method, path, token, contentType, body string
		status                                       int
	}{
		{"no token", "POST", "/whip/cats", "", sdp, junk, 401},
		{"junk token", "POST", "/whip/cats", "junk", sdp, junk, 401},
		{"unsigned token", "POST", "/whip/cats", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIqIiwic2NvcGUiOiJhZG1pbiJ9.", sdp, junk, 401},
		{"long token", "POST", "/whip/cats", strings.Repeat("a", 8000), sdp, junk, 401},
		{"expired token", "POST", "/whip/cats", expired, sdp, junk, 401},
		{"token of another stream", "POST", "/whip/dogs", publish, sdp, junk, 403},
		{"token to watch", "POST", "/whip/cats", s.token(t, "cats", access.Watch), sdp, junk, 403},
		{"bad name", "POST", "/whip/Cats!", s.Admin, sdp, junk, 404},
		{"no type", "POST", "/whip/cats", publish, "", junk, 415},
		{"other type", "POST", "/whip/cats", publish, "application/json", "{}", 415},
		{"empty", "POST", "/whip/cats", publish, sdp, "", 400},
		{"no SDP", "POST", "/whip/cats", publish, sdp, "hello", 400},
		{"zeros", "POST", "/whip/cats", publish, sdp, strings.Repeat("\x00", 1000), 400},
		{"no media", "POST", "/whip/cats", publish, sdp, junk, 400},
		{"too long", "POST", "/whip/cats", publish, sdp, junk + strings.Repeat("a=x\r\n", 20000), 413},
		{"other method", "PUT", "/whip/cats", publish, sdp, junk, 405},
		{"unknown session", "DELETE", "/whip/cats/none", publish, "", "", 404},
		{"unknown session", "PATCH", "/whip/cats/none", publish, "application/trickle-ice-sdpfrag", "a=ice-ufrag:x\r\n", 404},
		{"not live", "POST", "/whep/cats", "", sdp, junk, 409},
		{"unknown session", "DELETE", "/whep/cats/none", "", "", "", 404},
		{"unknown page", "GET", "/nothing", "", "", "", 404},
		{"way out", "GET", "/static/../../etc/passwd", "", "", "", 404},
		{"unknown stream", "GET", "/api/streams/none", "", "", "", 404},
		{"change without token", "PATCH", "/api/streams/cats", "", "application/json", "{}", 401},
		{"change to junk", "PATCH", "/api/streams/cats", s.Admin, "application/json", "{", 400},
		{"end what is not live", "DELETE", "/api/streams/cats/broadcast", s.Admin, "", "", 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			res := s.request(t, test.method, s.URL+test.path, test.token, test.contentType, test.body)
			if res.StatusCode != test.status {
				t.Errorf("%s %s: %d, want %d: %s", test.method, test.path, res.StatusCode, test.status, res.body)
			}
			var problem struct {
				Title, Detail string
				Status        int
			}
			if json.Unmarshal([]byte(res.body), &problem) != nil || problem.Status != res.StatusCode || problem.Title == "" ||
				res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %s: %s", test.method, test.path, res.Header.Get("Content-Type"), res.body)
			}
		})
	}
	for _, secret := range []string{publish, expired, s.Admin} {
		if strings.Contains(s.logs.String(), secret) {
			t.Error("a token stands in the log")
		}
	}
}

// TestJunkOnTheMediaPort does no harm to what is live.
func TestJunkOnTheMediaPort(t *testing.T) {
	s := startServer(t)
	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 25)
	b.waitSent(3)
	v := s.watch(t, cats)
	conn, err := net.Dial("udp", s.media)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	random := rand.New(rand.NewPCG(1, 2))
	starts := [][]byte{
		nil, {0}, {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, {0, 1, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42}, // STUN
		{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1}, {22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, // DTLS
		{0x80, 96, 0, 1}, {0x9f, 0xff}, {0x80, 200, 0, 6}, {0x81, 201, 0xff, 0xff}, // RTP and RTCP
	}
	for i := range 3000 {
		datagram := bytes.Clone(starts[i%len(starts)])
		for range random.IntN(1300) {
			datagram = append(datagram, byte(random.Uint32()))
		}
		_, _ = conn.Write(datagram) // it may be refused, which is fine
	}
	v.waitPicture(b.sent() + 10)
	if err := v.checkSteady(); err != nil {
		t.Error(err)
	}
	s.watch(t, cats).waitPicture(b.sent())
}

// TestServerThatCannotStart says why and leaves nothing half-started, as the look for goroutines at the end shows.
func TestServerThatCannotStart(t *testing.T) {
	running := startServer(t)
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, c *Config)
		says    []string
	}{
		{"busy TCP port", func(_ *testing.T, c *Config) { c.Listen = strings.TrimPrefix(running.URL, "http://") }, []string{"--listen", "in use", "another port"}},
		{"busy UDP port", func(_ *testing.T, c *Config) { c.UDP = running.media }, []string{"--udp", "in use", "another"}},
		{"unknown address", func(_ *testing.T, c *Config) { c.Listen = "192.0.2.1:0" }, []string{"--listen 192.0.2.1:0"}},
		{"file for a folder", func(t *testing.T, c *Config) { c.Data = writeFile(t, "file", "") }, []string{"--data", "choose another"}},
		{"file above the folder", func(t *testing.T, c *Config) { c.Data = filepath.Join(writeFile(t, "file", ""), "data") }, []string{"--data", "choose another"}},
		{"unwritable folder", func(t *testing.T, c *Config) { c.Data = unwritable(t) }, []string{"--data", "choose another"}},
		{"folder in use", func(_ *testing.T, c *Config) { c.Data = running.Data }, []string{"--data", "another server"}},
		{"broken listing", func(t *testing.T, c *Config) {
			c.Data = filepath.Dir(writeFile(t, listingFile, strings.Repeat("This is no database. ", 300)))
		}, []string{listingFile}},
		{"cut secret", func(t *testing.T, c *Config) { c.Data = filepath.Dir(writeFile(t, "secret.key", "short")) }, []string{"secret.key", "restore"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			test.prepare(t, &cfg)
			err := run(t.Context(), cfg, slog.New(slog.DiscardHandler), func(facts) { t.Error("it says that it is ready") })
			if err == nil {
				t.Fatal("it started")
			}
			t.Log(err)
			for _, word := range test.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is missing in: %v", word, err)
				}
			}
		})
	}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// unwritable is a folder that nobody can write in, root included.
func unwritable(t *testing.T) string {
	if os.Geteuid() == 0 {
		return "/proc/self/fd" // of the kernel's own
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestBrokenCertificateIsReplaced: it is nothing that anyone would miss.
func TestBrokenCertificateIsReplaced(t *testing.T) {
	dir := filepath.Dir(writeFile(t, certificateFile, "junk"))
	first, err := openCertificate(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := openCertificate(dir, time.Now())
	if err != nil || !bytes.Equal(first.Certificate[0], again.Certificate[0]) {
		t.Error("it is not kept", err)
	}
	later, err := openCertificate(dir, time.Now().Add(certificateLife-certificateRenew))
	if err != nil || bytes.Equal(first.Certificate[0], later.Certificate[0]) {
		t.Error("it is not renewed", err)
	}
	info, err := os.Stat(filepath.Join(dir, certificateFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// TestHTTPThatStalls: clients that send half a request hold nothing up, and do not keep the server from ending.
func TestHTTPThatStalls(t *testing.T) {
	s := startServer(t)
	host := strings.TrimPrefix(s.URL, "http://")
	for _, text := range []string{"", "POST /whip/cats HTTP/1.1\r\nHost: x\r\n", "POST /whip/cats HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: 1000\r\n\r\nv=0"} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	if res := s.request(t, http.MethodGet, s.URL+"/healthz", "", "", ""); res.StatusCode != http.StatusOK {
		t.Error(res.StatusCode)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); s.stop(t) }()
	select {
	case <-ended:
	case <-time.After(shutdownTime):
		t.Error("the server does not end")
	}
}

// TestDemo is what serve --demo does, with a viewer.
func TestDemo(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Demo = true })
	eventually(t, "the demo is live", func() bool { return s.stream(t, demoStream).Status == "live" })
	if title := s.stream(t, demoStream).Title; title != demoTitle {
		t.Errorf("its title is %q", title)
	}
	v := s.watch(t, demoStream)
	eventually(t, "the demo arrives", func() bool { return len(v.pictures()) > 20 && len(v.sounds()) > 20 })
	if !v.pictures()[0].key {
		t.Error("it does not start with a key frame")
	}
	v.leave()
}
