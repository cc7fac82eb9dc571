package soak

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestClockIsSet sets the clock of a server by an hour, forwards and back, while a broadcaster and viewers are
// connected, directly and through the relay. Nobody loses a frame or a session, and the list is right again with the
// next lease. A token or a TURN password expires by the time of day.
func TestClockIsSet(t *testing.T) {
	if !canSetClock {
		t.Skip("SKIPPED: only on Linux and amd64")
	}
	s := start(t)
	secret, _, err := access.OpenSecret(s.Data)
	if err != nil {
		t.Fatal(err)
	}
	token, err := secret.Mint(access.Claims{
		Stream: string(harness.Cats), Scopes: []access.Scope{access.Publish}, Expires: time.Now().Add(30 * time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	b := s.Broadcast(t, harness.Cats, s.Admin, harness.TwoMinutes)
	relay := harness.Matching(s.ICEServers(t), "transport=udp")
	viewers := []*harness.Viewer{
		s.Watch(t, harness.Cats),
		s.Watch(t, harness.Cats, harness.RelayOnly(relay)),
		s.Watch(t, harness.Cats, harness.RelayOnly(harness.Matching(s.ICEServers(t), "transport=tcp"))),
	}
	s.listed(t, len(viewers))
	stream, ids := s.Stream(t, harness.Cats), s.watching(t)

	hold := time.Second
	if os.Getenv("SIARAN_SOAK") != "" {
		hold = 40 * time.Second // longer than anything that a viewer or a lease is waited for
	}
	for _, step := range []struct {
		ahead   time.Duration // of the machine's clock
		token   int           // how a request with the token is answered
		allowed bool          // to begin at the relay with what it has given before any step
	}{
		{time.Hour, http.StatusUnauthorized, false},
		{0, http.StatusOK, true},
		{-time.Hour, http.StatusOK, true},
		{0, http.StatusOK, true},
	} {
		s.say(t, fmt.Sprintf("%d\n", int(step.ahead.Seconds())))
		health := s.Get(t, s.URL+"/api/streams/cats/health", token)
		if health.StatusCode != step.token {
			t.Errorf("%v ahead, a token for half an hour is answered by %d", step.ahead, health.StatusCode)
		}
		if date, err := http.ParseTime(health.Header.Get("Date")); err != nil ||
			(time.Until(date)-step.ahead).Abs() > 10*time.Minute {
			t.Fatalf("the server's clock is to be %v ahead, and its date is %v: %v", step.ahead, date, err)
		}
		if err := allocate(t, relay); (err == nil) != step.allowed {
			t.Errorf("%v ahead, what the relay has given before: %v", step.ahead, err)
		}
		if err := allocate(t, harness.Matching(s.ICEServers(t), "transport=udp")); err != nil {
			t.Errorf("%v ahead, what the relay gives now: %v", step.ahead, err)
		}
		late := s.Watch(t, harness.Cats)
		sent := b.Sent() + int(hold/harness.FrameInterval)
		for _, v := range append(viewers, late) {
			v.WaitFrame(sent)
		}
		late.Leave()
		s.listed(t, len(viewers))
	}
	if now := s.Stream(t, harness.Cats); now.StartedAt != stream.StartedAt {
		t.Errorf("the broadcast is another: %+v, %+v", now, stream)
	}
	if now := s.watching(t); !slices.Equal(now, ids) {
		t.Errorf("the viewers are others: %s, %s", now, ids)
	}
	for _, v := range viewers {
		if err := v.CheckContinuous(); err != nil {
			t.Error(err)
		}
	}
	for _, line := range s.warnings() {
		t.Errorf("in the log: %s", line)
	}
	if lines := strings.Count(s.log.String(), "\n"); lines > 100 {
		t.Errorf("%d lines in the log: %s", lines, s.log.String())
	}
}

func allocate(t *testing.T, relay []webrtc.ICEServer) error {
	t.Helper()
	address, _, _ := strings.Cut(strings.TrimPrefix(relay[0].URLs[0], "turn:"), "?")
	return harness.Allocate(t, address, relay[0].Username, relay[0].Credential.(string))
}

// watching are the ids of the viewers.
func (s *subject) watching(t *testing.T) (ids []string) {
	t.Helper()
	var list struct{ Viewers []struct{ ID string } }
	s.Decode(t, "/api/streams/cats/viewers", &list)
	for _, v := range list.Viewers {
		ids = append(ids, v.ID)
	}
	slices.Sort(ids)
	return ids
}

// listed waits until the list has so many viewers.
func (s *subject) listed(t *testing.T, viewers int) {
	t.Helper()
	harness.Eventually(t, "the list is right", func() bool {
		now := s.Stream(t, harness.Cats)
		return now.Status == "live" && now.Viewers == viewers && len(s.Viewers(t, harness.Cats)) == viewers
	})
}
