package turn

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"siaran/internal/testutil"

	"github.com/pion/stun"
)

func (s *stage) setLive(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = make(map[string]bool)
	for _, id := range ids {
		s.live[id] = true
	}
}

func TestCredentials(t *testing.T) {
	s := open(t)
	s.setLive("a", "old", "b:c", "x\x00y")
	now := time.Now().Unix()
	at := func(expiry int64, id string) (string, string) {
		user := strconv.FormatInt(expiry, 10) + ":" + id
		return user, s.password(user, expiry)
	}
	good, password := at(now+60, "a")
	for name, test := range map[string]struct {
		user, password string
		want           stun.ErrorCode
	}{
		"good":                   {good, password, 0},
		"colons in the id":       pair(at(now+60, "b:c"))(0),
		"bytes that are no text": pair(at(now+60, "x\x00y"))(0),
		"tomorrow's secret":      pair(at(now+86400, "a"))(0),
		"expired":                pair(at(now-1, "old"))(400),
		"expired yesterday":      pair(at(now-86400, "old"))(400),
		"good for too long":      pair(at(now+3*86400, "a"))(400),
		"revoked":                pair(at(now+60, "gone"))(400),
		"another's password":     {good, s.password("x", now+60), 400},
		"no password":            {good, "", 400},
		"another day's secret":   {good, Password(testSecret(now/86400-2), good), 400},
		"the id changed":         {good + "b", password, 400},
		"the expiry changed":     {strconv.FormatInt(now+61, 10) + ":a", password, 400},
		"no id":                  pair(at(now+60, ""))(400),
		"no expiry":              {"a", Password(testSecret(now/86400), "a"), 400},
		"negative":               {"-5:a", Password(testSecret(0), "-5:a"), 400},
		"a number alone": {
			strconv.FormatInt(now+60, 10), Password(testSecret((now+60)/86400), strconv.FormatInt(now+60, 10)), 400,
		},
		"too large a number":       {strings.Repeat("9", 40) + ":a", "p", 400},
		"too long":                 pair(at(now+60, strings.Repeat("a", 300)))(400),
		"a float":                  {"1e18:a", Password(testSecret(0), "1e18:a"), 400},
		"spaces around the expiry": {" " + good, Password(testSecret((now+60)/86400), " "+good), 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.raw("udp", test.user, test.password)
			if c := code(r.ask(stun.MethodAllocate, transportUDP)); c != test.want {
				t.Errorf("%d, want %d", c, test.want)
			}
		})
	}
	st := s.Stats()
	if st.Auth.Expired != 2 || st.Auth.Revoked != 2 || st.Auth.OK != 4 || st.Auth.Wrong < 10 {
		t.Errorf("%+v", st.Auth)
	}
	if st.Allocations != 4 {
		t.Errorf("%d allocations", st.Allocations)
	}
}

func pair(user, password string) func(stun.ErrorCode) struct {
	user, password string
	want           stun.ErrorCode
} {
	return func(want stun.ErrorCode) struct {
		user, password string
		want           stun.ErrorCode
	} {
		return struct {
			user, password string
			want           stun.ErrorCode
		}{user, password, want}
	}
}

func TestAllocationOutlivesItsCredential(t *testing.T) {
	s := open(t)
	user, password := s.Credential("a", 10*time.Second)
	r := s.raw("udp", user, password)
	r.allocate()
	s.pass(11 * time.Second)
	if c := code(r.ask(stun.MethodRefresh)); c != 0 {
		t.Errorf("refresh: %d", c)
	}
	if c := r.bind(0x4000, media); c != 0 {
		t.Errorf("channel: %d", c)
	}
	if c := code(s.raw("udp", user, password).ask(stun.MethodAllocate, transportUDP)); c != 400 {
		t.Errorf("a new allocation: %d", c)
	}
}

func TestRevoked(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s := open(t, func(c *Config) { c.Limits.Unused = time.Hour })
			s.setLive("a", "b")
			user, password := s.Credential("a", time.Hour)
			r := s.raw(transport, user, password)
			r.allocate()
			r.bind(0x4000, media)
			stays := s.allocated(transport, "b")
			s.setLive("b")
			testutil.Eventually(t, "the allocation is closed", func() bool { return s.Stats().Allocations == 1 })
			if st := s.Stats(); st.Closed.Revoked != 1 {
				t.Errorf("%+v", st.Closed)
			}
			r.write(appendChannelData(nil, 0x4000, []byte("after the end"), true))
			if !echoes(t, stays, media, "hello") {
				t.Error("another's allocation has gone too")
			}
			s.mu.Lock()
			for _, d := range s.got {
				if d.data == "after the end" {
					t.Error("a revoked client is still relayed")
				}
			}
			s.mu.Unlock()
			if transport == "tcp" {
				if from, data := r.next(); from != "" {
					t.Errorf("the connection is still open: %q %q", from, data)
				}
				return
			}
			if c := code(r.ask(stun.MethodAllocate, transportUDP)); c != 400 {
				t.Errorf("a new allocation: %d", c)
			}
		})
	}
}

func TestAnothersAllocation(t *testing.T) {
	s := open(t)
	user, password := s.Credential("a", time.Hour)
	r := s.raw("udp", user, password)
	r.allocate()
	r.user, r.password = s.Credential("b", time.Hour)
	for _, method := range []stun.Method{stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
		m := r.ask(method, channelNumber(0x4000), peerAddress{media}, attribute(stun.AttrLifetime, 0, 0, 0, 0))
		if code(m) != stun.CodeWrongCredentials {
			t.Errorf("%s: %d", method, code(m))
		}
	}
	if s.Stats().Allocations != 1 {
		t.Error("it has been closed by somebody else")
	}
	if c := code(r.ask(stun.MethodAllocate, transportUDP)); c != stun.CodeAllocMismatch {
		t.Errorf("allocate: %d", c)
	}
}
