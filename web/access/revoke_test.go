package access

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestRevokeAll: tokens for all streams can be taken back while a server runs on the folder; those of one stream stay.
func TestRevokeAll(t *testing.T) {
	dir := t.TempDir()
	server, _, err := OpenSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, one := Claims{Stream: AllStreams, Scopes: []Scope{Admin}}, Claims{Stream: "cats",
		Scopes: []Scope{Publish}, KeyGeneration: 7}
	first, stream := mint(t, server, all), mint(t, server, one)
	claims, err := server.Verify(background, first)
	if err != nil {
		t.Fatal(err)
	}
	command, _, err := OpenSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 2; want++ {
		if got, err := command.RevokeAll(); err != nil || got != want {
			t.Fatalf("RevokeAll: %d, %v, want %d", got, err, want)
		}
	}
	if _, err := server.Verify(background, first); !errors.Is(err, ErrRevoked) {
		t.Errorf("the token of before: %v, want ErrRevoked", err)
	}
	if _, err := server.Recheck(background, claims); !errors.Is(err, ErrRevoked) {
		t.Errorf("what the token of before has opened: %v, want ErrRevoked", err)
	}
	if c, err := server.Verify(background, stream); err != nil || c.KeyGeneration != 7 {
		t.Errorf("the token of one stream: %+v, %v", c, err)
	}
	if _, err := server.Verify(background, mint(t, command, all)); err != nil {
		t.Errorf("a token made since: %v", err)
	}
	if _, err := server.Verify(background, mint(t, newSecret(t.TempDir(), server.key()),
		all)); !errors.Is(err, ErrRevoked) {
		t.Errorf("a token that names another generation: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, generationFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestDamagedGeneration: nobody is let in while it cannot be told which tokens are good.
func TestDamagedGeneration(t *testing.T) {
	s := open(t)
	all := Claims{Stream: AllStreams, Scopes: []Scope{Admin}}
	token := mint(t, s, all)
	path := filepath.Join(s.dir, generationFile)
	for _, text := range []string{"", "x", "-1", "4294967296", "1 2", "99999999999999999999999999999999999999999999"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verify(background, token); err == nil || errors.Is(err, ErrBadToken) {
			t.Errorf("%q: %v, want an error of the server's own", text, err)
		}
		if _, err := s.Mint(all); err == nil {
			t.Errorf("%q: minted", text)
		}
		if _, err := s.RevokeAll(); err == nil {
			t.Errorf("%q: counted on", text)
		}
	}
}

func TestRevokeAllTogether(t *testing.T) {
	s := open(t)
	token := mint(t, s, Claims{Stream: AllStreams, Scopes: []Scope{Admin}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.RevokeAll(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := s.Verify(background, token); !errors.Is(err, ErrRevoked) {
		t.Errorf("%v, want ErrRevoked", err)
	}
}

func TestRecheckOfOwnTokens(t *testing.T) {
	s := open(t)
	c := Claims{Stream: "cats", Scopes: []Scope{Watch}, Expires: time.Now().Add(time.Hour)}
	if _, err := s.Recheck(background, c); err != nil {
		t.Error(err)
	}
	c.Expires = time.Now().Add(-time.Second)
	if _, err := s.Recheck(background, c); !errors.Is(err, ErrExpired) {
		t.Errorf("%v, want ErrExpired", err)
	}
}
