package doctor

import (
	"net/http"
	"testing"
	"time"
)

func TestSkew(t *testing.T) {
	for skew, want := range map[time.Duration]struct {
		status Status
		says   string
	}{
		0: {OK, "agree"}, -4 * time.Second: {OK, "agree"},
		40 * time.Second:  {Warn, "40s ahead of that of the server"},
		-40 * time.Second: {Warn, "40s behind that of the server"},
		2 * time.Hour:     {Fail, "2h0m0s ahead of"},
		-5 * time.Minute:  {Fail, "NTP"},
	} {
		said(t, checkSkew(skew, "the server"), want.status, want.says)
	}
}

func TestDateOfAnAnswer(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	for _, c := range []struct {
		date string
		want time.Duration
	}{
		{"Fri, 02 Jan 2026 03:04:05 GMT", 0}, // whole seconds
		{"Fri, 02 Jan 2026 03:04:06 GMT", 0}, // it came while we waited
		{"Fri, 02 Jan 2026 03:04:07 GMT", -400 * time.Millisecond},
		{"Fri, 02 Jan 2026 03:03:05 GMT", 59*time.Second + 600*time.Millisecond},
	} {
		skew, known := skewOf(http.Header{"Date": {c.date}}, now, now.Add(time.Second))
		if !known || skew != c.want {
			t.Errorf("%s: %s %t", c.date, skew, known)
		}
	}
	if _, known := skewOf(http.Header{"Date": {"yesterday"}}, now, now); known {
		t.Error("no date is one")
	}
}

func TestOwnClock(t *testing.T) {
	s := fakeServer(t, false, map[string]http.HandlerFunc{"/late": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	}})
	defer http.DefaultClient.CloseIdleConnections()
	said(t, checkOwnClock(t.Context(), s.URL+"/healthz", http.DefaultClient), OK, "agrees")
	said(t, checkOwnClock(t.Context(), s.URL+"/late", http.DefaultClient), Fail, "ahead of")
	if c := checkOwnClock(t.Context(), "http://"+closed(t), http.DefaultClient); c.Status == Fail {
		t.Errorf("another server's trouble: %s", c)
	}
}
