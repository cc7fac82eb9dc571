package admission

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"siaran"
	"siaran/internal/signedpost"
	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

var secret = "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))

func free() error { return nil }

// inBubble runs a test with a hook and a site, a real HTTP server over pipes, in synthetic time.
func inBubble(t *testing.T, site http.HandlerFunc, test func(t *testing.T, h *Hook, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		listener := testutil.NewPipe()
		server := &http.Server{Handler: site}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(listener) })
		secrets, err := signedpost.ParseSecrets(secret)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		h := New(Config{
			URL: &url.URL{Scheme: "http", Host: "site"}, Secrets: secrets,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return listener.Dial(ctx)
			}},
		})
		test(t, h, &log)
		h.Close()
		_ = server.Close()
		serving.Wait()
		time.Sleep(time.Second) // handlers see that nobody waits
	})
}

// TestQuestion: the site is asked what was said, signed.
func TestQuestion(t *testing.T) {
	var got Question
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Error(err)
		}
		wh, err := standardwebhooks.NewWebhook(secret)
		if err == nil {
			err = errors.Join(wh.Verify(body.Bytes(), r.Header), json.Unmarshal(body.Bytes(), &got))
		}
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprint(w, `{"user": "u1", "name": "Ana\u202e\n", "until": "2100-01-02T03:04:05Z", "maxSeconds": 60, "more": 1}`)
	}, func(t *testing.T, h *Hook, _ *bytes.Buffer) {
		q := Question{
			Action: Publish, Stream: "cats", Source: "192.0.2.1", Token: "t", Node: "n",
			UserAgent: strings.Repeat("ü", 200) + "\n",
		}
		v, err := h.Ask(t.Context(), q, free)
		until := time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)
		if err != nil || v.User != "u1" || v.Name != "Ana" || !v.Until.Equal(until) || v.Most != time.Minute {
			t.Errorf("%+v, %v", v, err)
		}
		q.UserAgent = strings.Repeat("ü", 128)
		if got != q {
			t.Errorf("asked %+v, want %+v", got, q)
		}
	})
}

// TestEqualQuestionsAreAskedOnce: while the answer is awaited, and for ten seconds after it.
func TestEqualQuestionsAreAskedOnce(t *testing.T) {
	var asked atomic.Int32
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		time.Sleep(time.Second)
	}, func(t *testing.T, h *Hook, _ *bytes.Buffer) {
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() {
				if _, err := h.Ask(t.Context(), Question{Stream: "cats"}, free); err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
		wantAsked := func(want int32, q Question) {
			t.Helper()
			if _, err := h.Ask(t.Context(), q, free); err != nil || asked.Load() != want {
				t.Errorf("%v; asked %d times, want %d", err, asked.Load(), want)
			}
		}
		wantAsked(1, Question{Stream: "cats"})
		for i, q := range []Question{
			{Stream: "dogs"}, {Stream: "cats", Source: "a"}, {Stream: "cats", Token: "a"}, {Stream: "cats", Subject: "a"},
			{Stream: "cats", UserAgent: "a"}, {Stream: "cats", Action: Watch}, {Stream: "cats", Again: true},
		} {
			wantAsked(int32(i)+2, q)
		}
		time.Sleep(yesLife)
		wantAsked(9, Question{Stream: "cats"})
		none := errors.New("no more")
		if _, err := h.Ask(t.Context(), Question{Stream: "cows"}, func() error { return none }); !errors.Is(err, none) {
			t.Error(err)
		}
		st := h.Stats()
		if st.Allowed != 9 || st.Kept != 50 || st.Limited != 1 || st.Refused+st.NoAnswer != 0 || st.Took.Count() != 9 {
			t.Errorf("%+v", st)
		}
	})
}

// TestWhoWaitsMayGo: those who asked the same get the answer although the first has gone.
func TestWhoWaitsMayGo(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second) }
	inBubble(t, slow, func(t *testing.T, h *Hook, _ *bytes.Buffer) {
		gone, cancel := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := h.Ask(gone, Question{}, free); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		if _, err := h.Ask(gone, Question{}, free); !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
		if _, err := h.Ask(t.Context(), Question{}, free); err != nil {
			t.Error(err)
		}
		asking.Wait()
	})
}

// TestFlood: however many ask, few questions are under way, and nobody waits for long. Holders of tokens of ours do not
// wait for strangers.
func TestFlood(t *testing.T) {
	var now, most atomic.Int32
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		_, _ = io.Copy(io.Discard, r.Body) // from then on the server notices that the client has gone
		select {
		case <-time.After(700 * time.Millisecond):
		case <-r.Context().Done():
		}
		now.Add(-1)
	}, func(t *testing.T, h *Hook, _ *bytes.Buffer) {
		began := time.Now()
		var asking sync.WaitGroup
		var yes, none atomic.Int32
		for i := range 10 * mostAtOnce {
			asking.Go(func() {
				switch _, err := h.Ask(t.Context(), Question{Stream: siaran.StreamName(fmt.Sprint(i))}, free); {
				case err == nil:
					yes.Add(1)
				case errors.Is(err, ErrNoAnswer):
					none.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := h.Ask(t.Context(), Question{Stream: "cats", Subject: "cats"}, free); err != nil {
			t.Errorf("a holder of a token of ours meanwhile: %v", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("it had to wait for %s", d)
		}
		asking.Wait()
		if d := time.Since(began); d > askTime || most.Load() > 2*mostAtOnce || yes.Load() < 2*mostAtOnce {
			t.Errorf("%s, %d at once, %d yes, %d none", d, most.Load(), yes.Load(), none.Load())
		}
	})
}

// TestAnswersAreBounded: new ones take the place of old ones, but not of those that are awaited.
func TestAnswersAreBounded(t *testing.T) {
	h := New(Config{URL: &url.URL{Scheme: "http", Host: "site"}})
	for i := range byte(4) {
		h.answers[key{i}] = &answer{}
	}
	for i := range 3 * mostAnswers {
		h.makeRoom()
		a := &answer{expires: time.Now().Add(time.Hour)}
		if i%2 == 0 {
			a.expires = time.Now()
		}
		h.answers[key{5, byte(i), byte(i >> 8)}] = a
	}
	if n := len(h.answers); n > mostAnswers {
		t.Errorf("%d answers", n)
	}
	for i := range byte(4) {
		if h.answers[key{i}] == nil {
			t.Error("a question that is awaited was forgotten")
		}
	}
}

// TestSitesThatFail: each is no answer, soon, and the log says so once.
func TestSitesThatFail(t *testing.T) {
	for name, site := range map[string]http.HandlerFunc{
		"hangs": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // from then on the server notices that the client has gone
			<-r.Context().Done()
		},
		"error":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) },
		"busy":     func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(429) },
		"redirect": http.RedirectHandler("http://inside/", http.StatusTemporaryRedirect).ServeHTTP,
		"broken":   func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"junk":     asJSON(`{"until": "soon"}`),
		"long":     asJSON(`{"name": "` + strings.Repeat("x", maxAnswer) + `"}`),
		"endless": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"drips": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		},
		"seconds": asJSON(`{"maxSeconds": 0}`),
		"user":    asJSON(`{"user": "` + strings.Repeat("x", maxUser+1) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, site, func(t *testing.T, h *Hook, log *bytes.Buffer) {
				began := time.Now()
				for i := range 3 {
					_, err := h.Ask(t.Context(), Question{Source: fmt.Sprint(i)}, free)
					if !errors.Is(err, ErrNoAnswer) {
						t.Error(err)
					}
				}
				if st := h.Stats(); st.NoAnswer != 3 || st.Allowed+st.Refused != 0 {
					t.Errorf("%+v", st)
				}
				if d := time.Since(began); d > 3*askTime || strings.Count(log.String(), "\n") != 1 {
					t.Errorf("%s: %s", d, log)
				}
			})
		})
	}
}

func asJSON(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}
}

func TestJudge(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		answer signedpost.Answer
		detail string // of a refusal; empty: somebody is let in
		signIn bool
	}{
		{signedpost.Answer{Status: 204, Whole: true}, "", false},
		{signedpost.Answer{Status: 200, Type: "text/html", Body: []byte("<p>fine"), Whole: false}, "", false},
		{signedpost.Answer{Status: 200, Type: "application/json", Body: []byte(`{}`), Whole: true}, "", false},
		{signedpost.Answer{Status: 403, Whole: true}, "the site", false},
		{
			signedpost.Answer{Status: 401, Type: "application/json", Body: []byte(`{"detail": 7}`), Whole: true},
			"the site", true,
		},
		{signedpost.Answer{
			Status: 402, Type: "application/problem+json", Body: []byte(`{"detail": "Pay first,\u0000 please."}`), Whole: true,
		}, "Pay first, please.", false},
		{signedpost.Answer{
			Status: 403, Type: "application/problem+json", Whole: true,
			Body: []byte(`{"detail": "` + strings.Repeat("ä", 1000) + `"}`),
		}, strings.Repeat("ä", maxDetail/2), false},
	} {
		_, err := judge(test.answer, now)
		var refusal *Refusal
		if (test.detail == "") != (err == nil) || err != nil && (!errors.As(err, &refusal) ||
			!strings.HasPrefix(err.Error(), test.detail) || len(err.Error()) > maxDetail || refusal.SignIn != test.signIn) {
			t.Errorf("%+v: %v", test.answer, err)
		}
	}
	past := signedpost.Answer{
		Status: 200, Type: "application/json", Body: []byte(`{"until": "2001-01-01T00:00:00Z"}`), Whole: true,
	}
	if v, err := judge(past, now); err != nil || !v.Until.Equal(now.Add(leastUntil)) {
		t.Errorf("%+v, %v", v, err)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(200, "application/json", []byte(`{"user": "a", "name": "b", "until": "2100-01-01T00:00:00Z", "maxSeconds": 5}`))
	f.Add(403, "application/problem+json", []byte(`{"detail": "no"}`))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		now := time.Now()
		v, err := judge(signedpost.Answer{Status: status, Type: contentType, Body: body, Whole: true}, now)
		if len(v.Name) > maxName || len(v.User) > maxUser || v.Most < 0 ||
			!v.Until.IsZero() && v.Until.Before(now.Add(leastUntil)) {
			t.Errorf("%+v", v)
		}
		var refusal *Refusal
		ok := status >= 200 && status < 300
		if !ok && err == nil || errors.As(err, &refusal) && len(refusal.Detail) > maxDetail {
			t.Error(err)
		}
	})
}
