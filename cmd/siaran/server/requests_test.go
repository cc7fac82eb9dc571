package server_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestRequestsThatAreRefused sends invalid requests. The response to each has the right status and a problem+json that
// says what is wrong.
func TestRequestsThatAreRefused(t *testing.T) {
	s := harness.Start(t)
	publish := s.Token(t, "cats", access.Publish)
	expired, err := s.Secret.Mint(access.Claims{
		Stream:  "cats",
		Scopes:  []access.Scope{access.Publish},
		Expires: time.Now().Add(-time.Hour),
	})
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
		{"token to watch", "POST", "/whip/cats", s.Token(t, "cats", access.Watch), sdp, junk, 403},
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
			res := s.Request(t, test.method, s.URL+test.path, test.token, test.contentType, test.body)
			if res.StatusCode != test.status {
				t.Errorf("%s %s: %d, want %d: %s", test.method, test.path, res.StatusCode, test.status, res.Body)
			}
			var problem struct {
				Title, Detail string
				Status        int
			}
			if json.Unmarshal([]byte(res.Body), &problem) != nil || problem.Status != res.StatusCode || problem.Title == "" ||
				res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %s: %s", test.method, test.path, res.Header.Get("Content-Type"), res.Body)
			}
		})
	}
	for _, secret := range []string{publish, expired, s.Admin} {
		if strings.Contains(s.Logs.String(), secret) {
			t.Error("a token stands in the log")
		}
	}
}

// TestHTTPThatStalls: clients that send half a request hold nothing up, and do not keep the server from ending.
func TestHTTPThatStalls(t *testing.T) {
	s := harness.Start(t)
	host := strings.TrimPrefix(s.URL, "http://")
	head := "POST /whip/cats HTTP/1.1\r\nHost: x\r\n"
	for _, text := range []string{
		"",
		head,
		head + "Content-Type: application/sdp\r\nContent-Length: 1000\r\n\r\nv=0",
	} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	if res := s.Request(t, http.MethodGet, s.URL+"/healthz", "", "", ""); res.StatusCode != http.StatusOK {
		t.Error(res.StatusCode)
	}
	s.Stop(t) // fails when it does not end by itself
}
