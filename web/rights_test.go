package web

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/web/access"
)

// judged are accounts whose state changes after they were let in.
type judged struct {
	accounts
	err   atomic.Pointer[error]
	plain atomic.Bool // nobody is an administrator any more
	asked atomic.Int64
}

func (j *judged) Recheck(ctx context.Context, c access.Claims) (access.Claims, error) {
	if c.Account == "" {
		return j.accounts.Recheck(ctx, c)
	}
	j.asked.Add(1)
	if err := j.err.Load(); err != nil {
		return c, *err
	}
	if j.plain.Load() {
		c.Scopes = []access.Scope{access.Publish}
	}
	return c, nil
}

func (j *judged) now(err error) { j.err.Store(&err) }

// startJudged starts a server that checks rights often.
func startJudged(t *testing.T) (*site, *judged) {
	t.Helper()
	j := &judged{}
	s := startTweaked(t, func(s *Server) {
		s.lookEvery, s.recheckEvery = 20*time.Millisecond,
			20*time.Millisecond
	}, func(c *Config) {
		j.accounts = accounts{c.Secret}
		c.Tokens = j
	})
	return s, j
}

func (s *site) there(p *peer) bool {
	return s.do(call{method: "GET", path: p.location}).StatusCode == http.StatusNoContent
}

// looked waits until accounts have been rechecked, if account is true, and then all sessions have been checked.
func (s *site) looked(j *judged, account bool) {
	s.t.Helper()
	for before := j.asked.Load(); account && j.asked.Load() < before+2; {
		time.Sleep(time.Millisecond)
	}
	for range 3 { // the third is taken in when a whole look has begun and ended since the first
		select {
		case s.server.rights.wake <- struct{}{}:
		case <-time.After(testutil.Patience):
			s.t.Fatal("sessions are not looked at")
		}
	}
}

func (s *site) edit(stream siaran.StreamName, edit siaran.StreamEdit) {
	s.t.Helper()
	s.must2(s.listing.Edit(s.t.Context(), stream, edit))
}

// expire makes the tokens expire with which sessions were opened.
func (s *site) expire() {
	r := s.server.rights
	r.mu.Lock()
	defer r.mu.Unlock()
	past := func(h *held) { h.claims.Expires = time.Now().Add(-time.Second) }
	for _, viewers := range r.viewers {
		for id, h := range viewers {
			past(&h)
			viewers[id] = h
		}
	}
	for name, h := range r.broadcasts {
		past(&h)
		r.broadcasts[name] = h
	}
}

// TestViewersEndWithTheRightToWatch, whoever withdraws it and on whichever server. Others stay.
func TestViewersEndWithTheRightToWatch(t *testing.T) {
	t.Parallel()
	private := siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}
	watch := func(s *site, ttl time.Duration) string {
		c := access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}}
		if stream, err := s.listing.Stream(s.t.Context(), "cats"); err == nil {
			c.KeyGeneration = stream.KeyGeneration
		}
		if ttl > 0 {
			c.Expires = time.Now().Add(ttl)
		}
		return s.token(c)
	}
	for name, tt := range map[string]struct {
		before siaran.StreamEdit
		token  func(*site) string
		change func(*site, *judged)
		stays  bool
	}{
		"turned private": {
			token:  func(*site) string { return "" },
			change: func(s *site, _ *judged) { s.edit("cats", private) },
		},
		"turned private through the API": {
			token: func(*site) string { return "undefined" },
			change: func(s *site, _ *judged) {
				r := s.do(call{method: "PATCH", path: "/api/streams/cats", token: s.admin,
					body: `{"visibility":"private"}`}.with(jsonBody...))
				if r.StatusCode != 200 {
					s.t.Error(r.StatusCode, r.body)
				}
			},
		},
		"turned private, with a token": {
			token:  func(s *site) string { return watch(s, 0) },
			change: func(s *site, _ *judged) { s.edit("cats", private) },
			stays:  true,
		},
		"keys renewed": {
			before: private,
			token:  func(s *site) string { return watch(s, 0) },
			change: func(s *site, _ *judged) { s.must2(s.listing.RotateKeys(s.t.Context(), "cats")) },
		},
		"keys renewed, public": {
			token:  func(s *site) string { return watch(s, 0) },
			change: func(s *site, _ *judged) { s.must2(s.listing.RotateKeys(s.t.Context(), "cats")) },
			stays:  true,
		},
		"run out": {
			before: private,
			token:  func(s *site) string { return watch(s, time.Hour) },
			change: func(s *site, _ *judged) { s.expire() },
		},
		"given away": {
			before: siaran.StreamEdit{Visibility: private.Visibility, Owner: new("firebase:ana")},
			token:  func(*site) string { return "account:ana:1" },
			change: func(s *site, _ *judged) { s.edit("cats", siaran.StreamEdit{Owner: new("firebase:budi")}) },
		},
		"the owner's": {
			before: siaran.StreamEdit{Visibility: private.Visibility, Owner: new("firebase:ana")},
			token:  func(*site) string { return "account:ana:1" },
			change: func(s *site, _ *judged) { s.must2(s.listing.RotateKeys(s.t.Context(), "cats")) },
			stays:  true,
		},
		"disabled": {
			before: siaran.StreamEdit{Visibility: private.Visibility, Owner: new("firebase:ana")},
			token:  func(*site) string { return "account:ana:1" },
			change: func(_ *site, j *judged) { j.now(access.ErrDisabled) },
		},
		"nobody to ask": {
			before: siaran.StreamEdit{Visibility: private.Visibility, Owner: new("firebase:ana")},
			token:  func(*site) string { return "account:ana:1" },
			change: func(_ *site, j *judged) { j.now(access.ErrUnreachable) },
			stays:  true,
		},
		"an administrator no more": {
			before: private,
			token:  func(*site) string { return "account:adm:1" },
			change: func(_ *site, j *judged) { j.plain.Store(true) },
		},
		"revoked for all streams": {
			before: private,
			token:  func(s *site) string { return s.admin },
			change: func(s *site, _ *judged) { s.must2(s.secret.RevokeAll()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, j := startJudged(t)
			s.live("cats")
			s.edit("cats", tt.before)
			v := s.viewer()
			token := tt.token(s)
			v.mustOpen("/whep/cats", token)
			s.looked(j, false)
			if !s.there(v) {
				t.Fatal("it is gone before anything has happened")
			}
			tt.change(s, j)
			if tt.stays {
				s.looked(j, strings.HasPrefix(token, "account:"))
				if !s.there(v) {
					t.Error("it is sent away")
				}
				return
			}
			testutil.Eventually(t, "the viewer is sent away", func() bool { return !s.there(v) })
			s.withdrawn()
			testutil.Eventually(t, "it is forgotten", func() bool {
				s.server.rights.mu.Lock()
				defer s.server.rights.mu.Unlock()
				return len(s.server.rights.viewers) == 0 && len(s.server.rights.private) == 0
			})
		})
	}
}

// withdrawn waits until the log says of a viewer that it has not left by itself.
func (s *site) withdrawn() {
	s.t.Helper()
	testutil.Eventually(s.t, "the log says why the viewer has gone", func() bool {
		return strings.Contains(s.log.String(), `reason="the viewer may no longer watch"`)
	})
}

// TestKeysAreBeingRenewed: the database may have the new generation before it is known here who has asked for it.
func TestKeysAreBeingRenewed(t *testing.T) {
	t.Parallel()
	s, j := startJudged(t)
	p := s.onAir("cats", s.publisher("cats"))
	renewed := s.server.rights.renew("cats")
	s.must2(s.listing.RotateKeys(t.Context(), "cats"))
	s.looked(j, false)
	if !s.there(p) {
		t.Error("the broadcast is ended before it is known who has renewed the keys")
	}
	renewed()
	testutil.Eventually(t, "the session is over", func() bool { return !s.there(p) })
}

// TestBroadcastsEndWithTheRightToThem: a withdrawn right ends them, a token that has merely expired does not.
func TestBroadcastsEndWithTheRightToThem(t *testing.T) {
	t.Parallel()
	key := func(s *site) string { return s.publisher("cats") }
	account := func(*site) string { return "account:ana:1" }
	for name, tt := range map[string]struct {
		token  func(*site) string
		change func(s *site, j *judged, token string)
		stays  bool
	}{
		"keys renewed": {token: key, change: func(s *site, _ *judged,
			_ string) {
			s.must2(s.listing.RotateKeys(s.t.Context(), "cats"))
		}},
		"keys renewed by itself": {token: key, stays: true, change: func(s *site, _ *judged, token string) {
			if r := s.do(call{method: "POST", path: "/api/streams/cats/keys", token: token}); r.StatusCode != 201 {
				s.t.Error(r.StatusCode, r.body)
			}
		}},
		"keys renewed by another": {token: key, change: func(s *site, _ *judged, _ string) {
			if r := s.do(call{method: "POST", path: "/api/streams/cats/keys", token: s.publisher("cats")}); r.StatusCode != 201 {
				s.t.Error(r.StatusCode, r.body)
			}
		}},
		"given away": {token: account, change: func(s *site, _ *judged,
			_ string) {
			s.edit("cats", siaran.StreamEdit{Owner: new("firebase:budi")})
		}},
		"a key, given away": {token: func(s *site) string {
			r := s.do(call{method: "POST", path: "/api/streams/cats/keys", token: "account:ana:1"})
			var key struct{ Token string }
			s.must(json.Unmarshal([]byte(r.body), &key))
			return key.Token
		}, change: func(s *site, _ *judged, _ string) { s.edit("cats", siaran.StreamEdit{Owner: new("firebase:budi")}) }},
		"an administrator's, given away": {token: func(s *site) string { return s.admin }, stays: true,
			change: func(s *site, _ *judged, _ string) {
				s.edit("cats", siaran.StreamEdit{Owner: new("firebase:budi")})
			}},
		"an administrator no more": {token: func(s *site) string {
			s.edit("cats", siaran.StreamEdit{Owner: new("firebase:budi")})
			return "account:adm:1"
		}, change: func(_ *site, j *judged, _ string) { j.plain.Store(true) }},
		"disabled": {token: account, change: func(_ *site, j *judged, _ string) { j.now(access.ErrDisabled) }},
		"nobody to ask": {token: account, stays: true,
			change: func(_ *site, j *judged, _ string) { j.now(access.ErrUnreachable) }},
		"run out": {token: func(s *site) string {
			return s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Publish},
				Expires: time.Now().Add(time.Hour)})
		}, stays: true, change: func(s *site, _ *judged, _ string) { s.expire() }},
		"turned private": {token: key, stays: true, change: func(s *site, _ *judged, _ string) {
			s.edit("cats", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, j := startJudged(t)
			token := tt.token(s)
			p := s.onAir("cats", token)
			b, err := s.hub.Broadcast("cats")
			s.must(err)
			tt.change(s, j, token)
			if tt.stays {
				s.looked(j, strings.HasPrefix(token, "account:"))
				if !s.there(p) || b.State().Status != siaran.StatusLive {
					t.Error("it is ended")
				}
				return
			}
			testutil.Eventually(t, "the session is over", func() bool { return !s.there(p) })
			if state := b.State(); state.EndReason != siaran.EndByOwner {
				t.Errorf("it has ended because %q", state.EndReason)
			}
			testutil.Eventually(t, "it is forgotten", func() bool {
				s.server.rights.mu.Lock()
				defer s.server.rights.mu.Unlock()
				return len(s.server.rights.broadcasts) == 0
			})
		})
	}
}

// TestRightsWithoutTheListing: nobody is sent away while it does not answer, or when it comes back empty.
func TestRightsWithoutTheListing(t *testing.T) {
	t.Parallel()
	h := held{claims: access.Claims{Stream: "cats", Scopes: []access.Scope{access.Publish}, ID: "me", KeyGeneration: 3}}
	h.on = access.Target{Stream: "cats", KeyGeneration: 3}
	if err := h.refusal(access.Publish, unknown("cats", 0), false, time.Now()); err != nil {
		t.Errorf("the listing has lost the stream: %v", err)
	}
	if err := h.refusal(access.Publish, siaran.Stream{Name: "cats", KeyGeneration: 2}, true, time.Now()); err != nil {
		t.Errorf("the listing is older than the session: %v", err)
	}
	h.claims = access.Claims{Stream: access.AllStreams, Scopes: []access.Scope{access.Publish}, Account: "firebase:ana"}
	h.on = access.Target{Stream: "cats", KeyGeneration: 3, Owner: "firebase:ana"}
	if err := h.refusal(access.Publish, siaran.Stream{Name: "cats"}, true, time.Now()); err != nil {
		t.Errorf("the listing has lost the owner: %v", err)
	}
}

// TestBroadcastsOfOneAccount: they are limited, whichever of its tokens and keys is used. The operator's are not.
func TestBroadcastsOfOneAccount(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts, func(c *Config) { c.Limits.Broadcasts = 2 })
	key := func(stream, token string) string {
		r := s.do(call{method: "POST", path: "/api/streams/" + stream + "/keys", token: token})
		var key struct{ Token string }
		s.must(json.Unmarshal([]byte(r.body), &key))
		return key.Token
	}
	s.onAir("a", "account:ana:1")
	bKey, cKey := key("b", "account:ana:2"), key("c", "account:ana:2")
	b := s.onAir("b", bKey)
	for token, stream := range map[string]string{"account:ana:3": "d", cKey: "c"} {
		if p := wantProblem(t, s.broadcaster().open("/whip/"+stream, token), 403); p.Code != "too-many-broadcasts" {
			t.Errorf("told %+v", p)
		}
	}
	if _, err := s.listing.Stream(t.Context(), "d"); err == nil {
		t.Error("a refused broadcast has taken the name")
	}
	s.broadcaster().mustOpen("/whip/a", "account:ana:4") // takes over its own
	s.onAir("e", "account:budi:1")
	for _, stream := range []string{"f", "g", "h"} {
		s.onAir(stream, s.admin)
	}
	s.onAir("i", s.publisher("i"))
	if r := s.do(call{method: "DELETE", path: b.location}); r.StatusCode != 200 {
		t.Fatal(r.StatusCode)
	}
	s.onAir("c", cKey)
}
