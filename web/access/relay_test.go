package access

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"siaran"
)

func writeSecret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openShared(t *testing.T, files ...string) *Secret {
	t.Helper()
	s, err := OpenShared(filepath.Join(t.TempDir(), "data"), files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestServersShareASecret(t *testing.T) {
	key := bytes.Repeat([]byte{0xfe}, secretSize)
	raw, line := writeSecret(t, string(key)), writeSecret(t, base64.StdEncoding.EncodeToString(key)+"\n")
	a, b := openShared(t, raw), openShared(t, line)
	token := mint(t, a, Claims{Stream: "cats", Scopes: []Scope{Watch}})
	for name, s := range map[string]*Secret{
		"base64": b, "hex": openShared(t, writeSecret(t, hex.EncodeToString(key))),
		"being replaced": openShared(t, writeSecret(t, string(bytes.Repeat([]byte{1}, 32))), raw),
	} {
		if _, err := s.Verify(background, token); err != nil || !s.Shared() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := openShared(t, writeSecret(t, string(make([]byte, 32)))).Verify(background, token); err == nil {
		t.Error("another secret takes the token")
	}
	if open(t).Shared() {
		t.Error("a server's own secret is said to be shared")
	}
	for _, text := range []string{"", "secret", string(make([]byte, 33)), hex.EncodeToString(key[1:])} {
		if _, err := OpenShared(t.TempDir(), []string{writeSecret(t, text)}); err == nil {
			t.Errorf("%q is taken for a secret", text)
		}
	}
	if err := os.Chmod(raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenShared(t.TempDir(), []string{raw}); err == nil {
		t.Error("a secret that everybody can read is taken")
	}
}

func TestRelayWatchesAnyStreamAndDoesNothingElse(t *testing.T) {
	s := open(t)
	token, err := s.MintRelay("cats", "edge 1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Verify(background, token)
	if err != nil || !c.IsChild() || time.Until(c.Expires) > relayLife || c.Owner() != "key:relay edge 1" {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, on := range []Target{
		{Stream: "cats", KeyGeneration: 7}, {Stream: "cats", Owner: "firebase:x"}, {Stream: "cats", New: true},
	} {
		if err := c.Check(Watch, on); err != nil {
			t.Errorf("watch %+v: %v", on, err)
		}
		for _, scope := range []Scope{Publish, Admin, Relay} {
			if err := c.Check(scope, on); !errors.Is(err, ErrForbidden) {
				t.Errorf("%s of %+v: %v", scope, on, err)
			}
		}
	}
	if err := c.Check(Watch, Target{Stream: "dogs"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("another stream: %v", err)
	}
	mixed := Claims{Stream: "cats", Scopes: []Scope{Relay, Admin, Publish}}
	if err := mixed.Check(Publish, Target{Stream: "cats"}); !errors.Is(err, ErrForbidden) || mixed.has(Admin) {
		t.Errorf("with other scopes beside: %v", err)
	}
	if _, err := s.MintRelay(AllStreams, "edge 1"); err == nil {
		t.Error("all streams at once can be passed on")
	}
	if admin := (Claims{Stream: AllStreams, Scopes: []Scope{Admin}}); admin.IsChild() {
		t.Error("an administrator is taken for a server")
	}
}

func TestTokensForAllStreamsAreTheOriginsToRevoke(t *testing.T) {
	all := Claims{Stream: AllStreams, Scopes: []Scope{Watch}, KeyGeneration: 1}
	account := Claims{Stream: AllStreams, Scopes: []Scope{Publish}, Account: "firebase:x"}
	for generation, want := range map[int]error{0: ErrRevoked, 1: nil, 2: ErrRevoked} {
		on := Target{Stream: siaran.StreamName("cats"), Owner: "firebase:x", TokenGeneration: &generation}
		if err := all.Check(Watch, on); !errors.Is(err, want) {
			t.Errorf("generation %d: %v, want %v", generation, err, want)
		}
		if err := account.Check(Watch, on); err != nil {
			t.Errorf("an account: %v", err)
		}
	}
}
