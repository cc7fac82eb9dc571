package firebaseauth

import (
	"errors"
	"testing"
	"time"

	"siaran/web/access"
)

// TestRecheck: what a token has opened is judged by its account, without the token.
func TestRecheck(t *testing.T) {
	g := newGoogle(t)
	claims, err := g.verifier.Verify(t.Context(), g.token(t, "ana", nil))
	if err != nil {
		t.Fatal(err)
	}
	claims.Expires = time.Now().Add(-time.Minute) // the account stays when its token has run out
	later := time.Now()
	g.verifier.now = func() time.Time { return later }
	for _, tt := range []struct {
		name  string
		is    account
		gone  bool
		want  error
		admin bool
	}{
		{"good", account{}, false, nil, false},
		{"made an administrator", account{Admin: true}, false, nil, true},
		{"an administrator no more", account{}, false, nil, false},
		{"signed in since", account{ValidSince: claims.Issued.Unix()}, false, nil, false},
		{"signed out", account{ValidSince: claims.Issued.Unix() + 1}, false, access.ErrSignedOut, false},
		{"disabled", account{Disabled: true}, false, access.ErrDisabled, false},
		{"removed", account{}, true, access.ErrDisabled, false},
	} {
		later = later.Add(rememberFor + time.Second)
		g.set("ana", tt.is)
		if tt.gone {
			g.mu.Lock()
			delete(g.accounts, "ana")
			g.mu.Unlock()
		}
		before := g.looked.Load()
		for range 3 {
			now, err := g.verifier.Recheck(t.Context(), claims)
			if !errors.Is(err, tt.want) || err == nil && now.IsAdmin() != tt.admin || now.Account != claims.Account {
				t.Errorf("%s: got %+v, %v", tt.name, now, err)
			}
		}
		if asked := g.looked.Load() - before; asked != 1 {
			t.Errorf("%s: %d look-ups, want 1", tt.name, asked)
		}
	}
	later = later.Add(rememberFor + time.Second)
	g.down.Store(true)
	g.verifier.timeout = 100 * time.Millisecond
	if _, err := g.verifier.Recheck(t.Context(), claims); !errors.Is(err, access.ErrUnreachable) {
		t.Errorf("Google is away: %v", err)
	}
}
