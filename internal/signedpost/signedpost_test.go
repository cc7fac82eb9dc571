package signedpost

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

func key(b byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

func post(t *testing.T, handler http.HandlerFunc, secrets string) (Answer, error) {
	t.Helper()
	receiver := httptest.NewServer(handler)
	defer receiver.Close()
	u, err := ParseURL(receiver.URL + "/path?secret")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSecrets(secrets)
	if err != nil {
		t.Fatal(err)
	}
	p := New(Config{URL: u, Secrets: s, Timeout: time.Minute, MaxAnswer: 1000, UserAgent: "siaran", Parallel: 1})
	defer p.Close()
	return p.Post(t.Context(), "msg_1", []byte(`{"type":"x"}`))
}

// TestReceiversCanVerify has the library of Standard Webhooks check what is sent, with the old secret and the new.
func TestReceiversCanVerify(t *testing.T) {
	for _, secret := range []string{key('a'), key('b')} {
		answer, err := post(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			wh, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Error(err)
			}
			if err := wh.Verify(body, r.Header); err != nil {
				t.Error(err)
			}
			if err := wh.Verify(append(body, ' '), r.Header); err == nil {
				t.Error("a changed body is accepted")
			}
			fmt.Fprint(w, "thanks")
		}, key('a')+"\n"+key('b')+"\n")
		if err != nil || !answer.OK() || string(answer.Body) != "thanks" || !answer.Whole {
			t.Errorf("%+v, %v", answer, err)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer inside.Close()
	answer, err := post(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
	}, key('a'))
	if err != nil || answer.OK() || answer.Status != http.StatusTemporaryRedirect {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestLargeAnswersAreLeft(t *testing.T) {
	wrote := 0
	answer, err := post(t, func(w http.ResponseWriter, r *http.Request) {
		for chunk := make([]byte, 1<<20); wrote < 100; wrote++ {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}, key('a'))
	if err != nil || !answer.OK() || len(answer.Body) != 1000 || answer.Whole || wrote == 100 {
		t.Errorf("%d bytes of %d MB, whole %v, %v", len(answer.Body), wrote, answer.Whole, err)
	}
}

// TestErrorsDoNotNameTheAddress: a path or a query may be a secret, and errors go to the log.
func TestErrorsDoNotNameTheAddress(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	u, err := ParseURL("http://127.0.0.1:1/path?secret")
	if err != nil {
		t.Fatal(err)
	}
	p := New(Config{URL: u, Timeout: time.Minute, Parallel: 1})
	if _, err := p.Post(ctx, "msg_1", nil); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	if _, err := p.Post(t.Context(), "msg_1", nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for text, good := range map[string]bool{
		"https://www.example.org/siaran": true, "http://127.0.0.1:9000": true, "http://[::1]/a?b=c": true,
		"": false, "www.example.org": false, "ftp://a.example": false, "https://": false, "https://u:p@a.example": false,
		"https://a.example/#x": false, "https://a.example/\x00": false,
	} {
		if _, err := ParseURL(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		text string
		mode os.FileMode
		says string // empty: it is good
	}{
		{key('a'), 0o600, ""},
		{key('a') + "\n" + strings.TrimPrefix(key('b'), "whsec_") + "\n", 0o640, ""},
		{key('a'), 0o604, "chmod"},
		{"", 0o600, "openssl"},
		{"whsec_not base64", 0o600, "base64"},
		{"whsec_c2hvcnQ=", 0o600, "24 to 64 bytes"},
		{strings.Repeat(key('a')+"\n", 5), 0o600, "more than 4"},
	} {
		path := filepath.Join(dir, "secret")
		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		s, err := OpenSecrets(path)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %v", test.text, err)
		}
		if text := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(text, "97") {
			t.Error("a secret shows itself:", text)
		}
	}
	if _, err := OpenSecrets(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "99999999999999999999": 0, "4000000000": time.Hour, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
		now.AddDate(50, 0, 0).Format(http.TimeFormat): time.Hour,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("7")
	f.Add("Fri, 02 Jan 2026 03:04:05 GMT")
	f.Fuzz(func(t *testing.T, text string) {
		if d := retryAfter(text, time.Now()); d < 0 || d > maxRetryAfter {
			t.Error(text, d)
		}
	})
}

func FuzzParseSecrets(f *testing.F) {
	f.Add(key('a'))
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSecrets(text); (err == nil) != (len(s.keys) > 0) {
			t.Error(s, err)
		}
	})
}
