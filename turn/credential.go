package turn

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/pion/turn/v2"
)

const (
	// MaxLife is how long a credential can be valid for new allocations. So two secrets are in use at any time:
	// today's and tomorrow's.
	MaxLife = 24 * time.Hour

	maxUser = 256 // bytes
	realm   = "siaran"
)

// Credential makes a user name and a password (draft-uberti-behave-turn-rest) with which a client can allocate until
// life has passed, at most [MaxLife]. id names the client: Live is called with it, and allocations are counted by it.
// It is part of the user name, so it is not secret, and must not contain a colon.
func (s *Server) Credential(id string, life time.Duration) (username, password string) {
	expiry := s.cfg.now().Add(min(life, MaxLife)).Unix()
	username = strconv.FormatInt(expiry, 10) + ":" + id
	return username, s.password(username, expiry)
}

func (s *Server) password(username string, expiry int64) string {
	return Password(s.cfg.Secret(expiry/86400), username)
}

// Password returns the password of a user name that carries its expiry, for servers that share the secret.
func Password(secret []byte, username string) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// parseUser splits a user name into its parts.
func parseUser(username string) (expiry time.Time, id string, ok bool) {
	if len(username) > maxUser {
		return time.Time{}, "", false
	}
	digits, id, ok := strings.Cut(username, ":")
	seconds, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || seconds <= 0 || id == "" {
		return time.Time{}, "", false
	}
	return time.Unix(seconds, 0), id, true
}

// key returns the key that a user's requests are signed with. holder means that the request comes from the client of an
// allocation of the same user; an allocation may outlive the credential that it was made with.
func (s *Server) key(username, realm string, holder bool) (key []byte, id string, ok bool) {
	expiry, id, ok := parseUser(username)
	now := s.cfg.now()
	switch {
	case !ok || expiry.After(now.Add(MaxLife+time.Minute)):
		s.stats.authWrong.Add(1)
		return nil, "", false
	case now.After(expiry) && !holder:
		s.stats.authExpired.Add(1)
		return nil, "", false
	case !s.cfg.Live(id):
		s.stats.authRevoked.Add(1)
		return nil, "", false
	}
	return turn.GenerateAuthKey(username, realm, s.password(username, expiry.Unix())), id, true
}
