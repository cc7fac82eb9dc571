package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

const maxTTL = 10 * 365 * 24 * 3600 // seconds

// keyRequest is the body of POST /api/streams/NAME/keys.
type keyRequest struct {
	Scope  access.Scope `json:"scope"`
	TTL    int64        `json:"ttl"` // seconds; 0: as long as the token that makes the key
	Revoke *bool        `json:"revoke"`
}

func readKeyRequest(c echo.Context) (k keyRequest, err error) {
	k.Scope = access.Publish
	if c.Request().ContentLength != 0 {
		if err := readJSON(c, &k); err != nil {
			return k, err
		}
	}
	if k.Scope != access.Publish && k.Scope != access.Watch {
		return k, fail(invalidValue, "scope must be 'publish' or 'watch'")
	}
	if k.TTL < 0 || k.TTL > maxTTL {
		return k, fail(invalidValue, "ttl must be a number of seconds from 0 to %d", maxTTL)
	}
	return k, nil
}

// revokes reports whether the key revokes all older ones of the stream.
func (k keyRequest) revokes() bool {
	if k.Revoke != nil {
		return *k.Revoke
	}
	return k.Scope == access.Publish
}

// expires returns when the key expires; zero: never. It does not outlive the token that makes it, unless that is an
// account's, which expires every hour.
func (k keyRequest) expires(by access.Claims, now time.Time) time.Time {
	expires := by.Expires
	if by.Account != "" {
		expires = time.Time{}
	}
	if ttl := now.Add(time.Duration(k.TTL) * time.Second); k.TTL > 0 && (expires.IsZero() || ttl.Before(expires)) {
		expires = ttl
	}
	return expires
}

// makeKey makes a token for the stream. Unless the body says otherwise, a token for publishing revokes all older
// tokens of the stream, and one for watching does not. What revoked tokens have opened ends, except the sessions of
// the token that makes the request.
func (s *Server) makeKey(c echo.Context) error {
	key, wrong := readKeyRequest(c)
	g, err := s.authorizeAfterBody(c, wrong)
	if err != nil {
		return err
	}
	ctx, name := c.Request().Context(), g.stream.Name
	if err := s.claimForEdit(ctx, g); err != nil {
		return err
	}
	generation := g.stream.KeyGeneration
	if key.revokes() {
		renewed := s.rights.renew(name)
		generation, err = s.listing.RotateKeys(ctx, name)
		if err == nil {
			s.rights.renewed(name, g.claims, generation)
		}
		renewed()
		s.rights.look()
		if err != nil {
			return listingFailed(err)
		}
		s.events.add(eventKeys, name, "")
	}
	expires := key.expires(g.claims, time.Now())
	token, err := s.cfg.Secret.Mint(access.Claims{
		Stream: string(name), Scopes: []access.Scope{key.Scope}, KeyGeneration: generation, Expires: expires,
	})
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return sendJSON(c, http.StatusCreated, struct {
		Token         string            `json:"token"`
		Stream        siaran.StreamName `json:"stream"`
		Scope         access.Scope      `json:"scope"`
		ExpiresAt     *time.Time        `json:"expiresAt"`
		KeyGeneration int               `json:"keyGeneration"`
		Revoked       bool              `json:"revoked"`
	}{token, name, key.Scope, timeOrNull(expires), generation, key.revokes()})
}

// showToken tells the holder of a token what it allows.
func (s *Server) showToken(c echo.Context) error {
	ctx := c.Request().Context()
	claims, err := s.verify(ctx, c, bearer(c.Request()))
	if err != nil {
		return err
	}
	if claims.Stream != access.AllStreams {
		stream, found, err := s.lookup(ctx, siaran.StreamName(claims.Stream))
		if err != nil {
			return err
		}
		if err := claims.Check(claims.Scopes[0], target(stream, found)); err != nil {
			return err
		}
	}
	return sendJSON(c, http.StatusOK, struct {
		Stream    string         `json:"stream"` // a name or "*"
		Scopes    []access.Scope `json:"scopes"`
		ExpiresAt *time.Time     `json:"expiresAt"`
		Account   string         `json:"account,omitempty"`
	}{claims.Stream, slices.Clone(claims.Scopes), timeOrNull(claims.Expires), claims.Account})
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
