package harness

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"siaran/internal/signalling"

	"github.com/pion/webrtc/v3"

	"siaran"
)

// Stream is what tests look at of a stream.
type Stream struct {
	Name, Title, Status, StartedAt string
	Viewers                        int
}

// Stream asks the API.
func (s *Server) Stream(t *testing.T, name siaran.StreamName) Stream {
	t.Helper()
	var v Stream
	s.Decode(t, "/api/streams/"+string(name), &v)
	return v
}

func (s *Server) Viewers(t *testing.T, name siaran.StreamName) []json.RawMessage {
	t.Helper()
	var v struct{ Viewers []json.RawMessage }
	s.Decode(t, "/api/streams/"+string(name)+"/viewers", &v)
	return v.Viewers
}

func (s *Server) Decode(t testing.TB, path string, into any) {
	t.Helper()
	var res Response
	Eventually(t, "GET "+path+" is answered", func() bool {
		res = s.Request(t, http.MethodGet, s.URL+path, s.Admin, "", "")
		if res.StatusCode == http.StatusServiceUnavailable { // the listing has taken a second or more
			t.Logf("GET %s: %s", path, res.Body)
		}
		return res.StatusCode != http.StatusServiceUnavailable
	})
	if res.StatusCode == http.StatusNotFound {
		return
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d", path, res.StatusCode)
	}
	if err := json.Unmarshal([]byte(res.Body), into); err != nil {
		t.Fatalf("GET %s: %v in %q", path, err, res.Body)
	}
}

type Response struct {
	*http.Response
	Body string
}

func (s *Server) Get(t *testing.T, url, token string) Response {
	t.Helper()
	return s.Request(t, http.MethodGet, url, token, "", "")
}

// Call changes something through the API and returns the status.
func (s *Server) Call(t *testing.T, method, path, token, body string) int {
	t.Helper()
	return s.Request(t, method, s.URL+path, token, "application/json", body).StatusCode
}

func (s *Server) Request(t testing.TB, method, url, token, contentType, body string) Response {
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
	client := s.Client
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
	return Response{res, string(text)}
}

// Body asks the API.
func (s *Server) Body(t *testing.T, path, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	client := s.Client
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
	return string(text)
}

// WaitListed waits until a server knows that a stream is live, wherever.
func (s *Server) WaitListed(t *testing.T, name siaran.StreamName) {
	t.Helper()
	Eventually(t, string(name)+" is listed", func() bool { return s.Stream(t, name).Status == "live" })
}

// Listed are the streams that a server's API tells as live.
func (s *Server) Listed(t testing.TB) []string {
	t.Helper()
	var list struct{ Streams []Stream }
	s.Decode(t, "/api/streams", &list)
	var names []string
	for _, stream := range list.Streams {
		names = append(names, stream.Name)
	}
	return slices.Sorted(slices.Values(names))
}

// Watching is how many viewers a server's API tells by name, of all these streams.
func (s *Server) Watching(t *testing.T, streams []siaran.StreamName) (n int) {
	t.Helper()
	for _, name := range streams {
		n += len(s.Viewers(t, name))
	}
	return n
}

func Refused(err error, code int) bool {
	refusal := (*signalling.Error)(nil)
	return errors.As(err, &refusal) && refusal.Code == code
}

// WaitTransport looks by what transport a broadcast comes.
func WaitTransport(t *testing.T, s *Server, want string) {
	t.Helper()
	Eventually(t, "media over "+want, func() bool {
		var health struct{ Transport string }
		s.Decode(t, "/api/streams/cats/health", &health)
		return health.Transport == want
	})
}

// Do sends a request with the admin's token and wants the given status.
func (s *Server) Do(t *testing.T, method, path string, want int, into any) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Admin)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d", method, path, res.Status, want)
	}
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// Paths are those of a stream's viewers, as the API lists them.
func (s *Server) Paths(t *testing.T, stream siaran.StreamName) string {
	t.Helper()
	var list struct{ Viewers []struct{ Path string } }
	s.Decode(t, "/api/streams/"+string(stream)+"/viewers", &list)
	var paths []string
	for _, v := range list.Viewers {
		paths = append(paths, v.Path)
	}
	return strings.Join(paths, " ")
}

// ICEServers asks the server for its ICE servers, as a page does.
func (s *Server) ICEServers(t testing.TB) []webrtc.ICEServer {
	t.Helper()
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Get(s.URL + "/api/ice")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct {
		ICEServers []struct {
			URLs                 []string
			Username, Credential string
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	var list []webrtc.ICEServer
	for _, i := range body.ICEServers {
		list = append(list, webrtc.ICEServer{URLs: i.URLs, Username: i.Username, Credential: i.Credential})
	}
	return list
}
