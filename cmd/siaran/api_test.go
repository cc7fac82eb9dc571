package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siaran"
)

// streamJSON is what tests look at of a stream.
type streamJSON struct {
	Name, Title, Status, StartedAt string
	Viewers                        int
}

// stream asks the API.
func (s *testServer) stream(t *testing.T, name siaran.StreamName) streamJSON {
	t.Helper()
	var v streamJSON
	s.decode(t, "/api/streams/"+string(name), &v)
	return v
}

func (s *testServer) viewers(t *testing.T, name siaran.StreamName) []json.RawMessage {
	t.Helper()
	var v struct{ Viewers []json.RawMessage }
	s.decode(t, "/api/streams/"+string(name)+"/viewers", &v)
	return v.Viewers
}

func (s *testServer) decode(t *testing.T, path string, into any) {
	t.Helper()
	res := s.request(t, http.MethodGet, s.URL+path, s.Admin, "", "")
	if res.StatusCode == http.StatusNotFound {
		return
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d", path, res.StatusCode)
	}
	if err := json.Unmarshal([]byte(res.body), into); err != nil {
		t.Fatalf("GET %s: %v in %q", path, err, res.body)
	}
}

type testResponse struct {
	*http.Response
	body string
}

func (s *testServer) get(t *testing.T, url, token string) testResponse {
	t.Helper()
	return s.request(t, http.MethodGet, url, token, "", "")
}

// call changes something through the API and returns the status.
func (s *testServer) call(t *testing.T, method, path, token, body string) int {
	t.Helper()
	return s.request(t, method, s.URL+path, token, "application/json", body).StatusCode
}

func (s *testServer) request(t *testing.T, method, url, token, contentType, body string) testResponse {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := s.client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return testResponse{res, string(text)}
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
