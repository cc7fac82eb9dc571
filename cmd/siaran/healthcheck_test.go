package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"siaran/e2e/harness"
)

func TestHealthcheck(t *testing.T) {
	s := harness.Start(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	for _, listen := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port} {
		if code, out, err := command(t.Context(), "healthcheck", "--listen="+listen); code != 0 || out != "" {
			t.Errorf("%s: code %d, stdout %q, stderr %q", listen, code, out, err)
		}
	}
	t.Setenv("SIARAN_LISTEN", ":"+port)
	if code, _, err := command(t.Context(), "healthcheck"); code != 0 {
		t.Errorf("code %d, stderr %q", code, err)
	}
	s.Stop(t)
	if code, _, err := command(t.Context(), "healthcheck"); code != 1 || !strings.Contains(err, "refused") {
		t.Errorf("of a server that has ended: code %d, stderr %q", code, err)
	}
}

func TestHealthcheckOverTLS(t *testing.T) {
	ok := true
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ok || r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	listen := "--listen=" + s.Listener.Addr().String()
	if code, _, err := command(t.Context(), "healthcheck", listen); code != 0 {
		t.Errorf("code %d, stderr %q", code, err)
	}
	ok = false
	if code, _, err := command(t.Context(), "healthcheck", listen); code != 1 || !strings.Contains(err, "500") {
		t.Errorf("code %d, stderr %q", code, err)
	}
}
