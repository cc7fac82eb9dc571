package firebaseauth

import (
	"errors"
	"testing"
	"time"

	"siaran/web/access"
	"siaran/web/access/firebaseauth/emulator"
)

// TestWithTheEmulator holds what the stand-in of the other tests says against Google's own emulator.
func TestWithTheEmulator(t *testing.T) {
	e := emulator.Start(t, "demo-siaran")
	v, err := Open(t.Context(), Config{Project: e.Project})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	uid, token := e.SignUp("ana@example.org", "rahasia")
	c, err := v.Verify(t.Context(), token)
	if err != nil || c.Account != Account(uid) || c.IsAdmin() {
		t.Fatalf("%+v, %v", c, err)
	}
	e.Admin(uid)
	if c, err = v.Verify(t.Context(), e.SignIn("ana@example.org", "rahasia")); err != nil || !c.IsAdmin() {
		t.Errorf("with the claim admin: %+v, %v", c, err)
	}
	later := func(d time.Duration) { v.now = func() time.Time { return time.Now().Add(d) } }
	e.Revoke(uid)
	later(time.Minute)
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, access.ErrSignedOut) {
		t.Errorf("revoked: %v", err)
	}
	e.Disable(uid)
	later(2 * time.Minute)
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, access.ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	other, err := Open(t.Context(), Config{Project: "demo-other"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify(t.Context(), token); !errors.Is(err, access.ErrBadToken) {
		t.Errorf("of another project: %v", err)
	}
}
