package access

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"siaran"
)

var background = context.Background()

func open(t testing.TB) *Secret {
	t.Helper()
	s, _, err := OpenSecret(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mint(t testing.TB, s *Secret, c Claims) string {
	t.Helper()
	token, err := s.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSecretIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	first, created, err := OpenSecret(dir)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	info, err := os.Stat(filepath.Join(dir, secretFile))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != secretSize {
		t.Errorf("file %v, %v", info, err)
	}
	second, created, err := OpenSecret(dir)
	if err != nil || created || !bytes.Equal(first.key(), second.key()) {
		t.Errorf("opened again: created %v, %v", created, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", first, first, first, first); strings.Contains(text,
		string(first.key())) || strings.Contains(text, "key") {
		t.Errorf("printed as %q", text)
	}
}

func TestSecretOfTwoWhoStartAtOnce(t *testing.T) {
	dir := t.TempDir()
	secrets := make([]*Secret, 16)
	fresh := make([]bool, len(secrets))
	var wg sync.WaitGroup
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], fresh[i], err = OpenSecret(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	created := 0
	for i, s := range secrets {
		if s == nil || !bytes.Equal(s.key(), secrets[0].key()) {
			t.Errorf("%d has another secret", i)
		}
		if fresh[i] {
			created++
		}
	}
	if created != 1 {
		t.Errorf("%d say that they made it", created)
	}
}

func TestBadSecretFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(path string) error
		want  string
	}{
		"short": {func(p string) error { return os.WriteFile(p, make([]byte, 31), 0o600) }, "31 bytes"},
		"long":  {func(p string) error { return os.WriteFile(p, make([]byte, 33), 0o600) }, "33 bytes"},
		"empty": {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "0 bytes"},
		"others": {func(p string) error {
			return errors.Join(os.WriteFile(p, make([]byte, 32), 0o600),
				os.Chmod(p, 0o640))
		}, "chmod 600"},
		"folder": {func(p string) error { return os.Mkdir(p, 0o700) }, "not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := tt.spoil(filepath.Join(dir, secretFile)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := OpenSecret(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenSecret(file); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestMintAndVerify(t *testing.T) {
	s := open(t)
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, want := range []Claims{
		{Stream: "cats", Scopes: []Scope{Publish}, KeyGeneration: 3},
		{Stream: "cats", Scopes: []Scope{Watch, Publish}, Expires: at},
		{Stream: AllStreams, Scopes: []Scope{Admin}, ID: "mine"},
	} {
		got, err := s.Verify(background, mint(t, s, want))
		if err != nil {
			t.Fatal(err)
		}
		if want.ID == "" {
			if len(got.ID) < 20 {
				t.Errorf("id %q is too short to be random", got.ID)
			}
			want.ID = got.ID
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	a, _ := s.Verify(background, mint(t, s, Claims{Stream: "cats", Scopes: []Scope{Publish}}))
	b, _ := s.Verify(background, mint(t, s, Claims{Stream: "cats", Scopes: []Scope{Publish}}))
	if a.Owner() == b.Owner() {
		t.Error("two tokens are one owner")
	}
}

func TestMintRefuses(t *testing.T) {
	s := open(t)
	for _, c := range []Claims{
		{Stream: "", Scopes: []Scope{Publish}},
		{Stream: "Cats", Scopes: []Scope{Publish}},
		{Stream: "cats"},
		{Stream: "cats", Scopes: []Scope{"root"}},
		{Stream: "cats", Scopes: []Scope{Metrics}},
	} {
		if _, err := s.Mint(c); err == nil {
			t.Errorf("minted %v", c)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	s := open(t)
	sign := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := jwt.MapClaims{"sub": "cats", "scope": "publish", "jti": "x"}
	valid := sign(jwt.SigningMethodHS256, s.key(), good)
	part := strings.Split(valid, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"*","scope":"admin"}`))
	for name, tt := range map[string]struct {
		token string
		want  error
	}{
		"none":           {"", ErrNoToken},
		"undefined":      {"undefined", ErrBadToken},
		"alg none":       {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good), ErrBadToken},
		"alg HS512":      {sign(jwt.SigningMethodHS512, s.key(), good), ErrBadToken},
		"other secret":   {sign(jwt.SigningMethodHS256, make([]byte, 32), good), ErrBadToken},
		"changed claims": {part[0] + "." + forged + "." + part[2], ErrBadToken},
		"no signature":   {part[0] + "." + part[1] + ".", ErrBadToken},
		"two parts":      {part[0] + "." + part[1], ErrBadToken},
		"padded":         {valid + "=", ErrBadToken},
		"space":          {valid + " ", ErrBadToken},
		"huge":           {strings.Repeat("a", MaxToken+1), ErrBadToken},
		"no scope":       {sign(jwt.SigningMethodHS256, s.key(), jwt.MapClaims{"sub": "cats"}), ErrBadToken},
		"unknown scope":  {sign(jwt.SigningMethodHS256, s.key(), jwt.MapClaims{"sub": "cats", "scope": "root"}), ErrBadToken},
		"no stream":      {sign(jwt.SigningMethodHS256, s.key(), jwt.MapClaims{"scope": "publish"}), ErrBadToken},
		"bad stream": {sign(jwt.SigningMethodHS256, s.key(), jwt.MapClaims{"sub": "../x", "scope": "publish"}),
			ErrBadToken},
		"odd generation": {sign(jwt.SigningMethodHS256, s.key(),
			jwt.MapClaims{"sub": "cats", "scope": "publish", "gen": "1"}), ErrBadToken},
		"not yet": {sign(jwt.SigningMethodHS256, s.key(),
			jwt.MapClaims{"sub": "cats", "scope": "publish", "nbf": time.Now().Add(time.Hour).Unix()}), ErrBadToken},
		"expired": {sign(jwt.SigningMethodHS256, s.key(),
			jwt.MapClaims{"sub": "cats", "scope": "publish", "exp": 1}), ErrExpired},
		"expired, not yet": {sign(jwt.SigningMethodHS256, s.key(),
			jwt.MapClaims{"sub": "cats", "scope": "publish", "exp": 1, "nbf": time.Now().Add(time.Hour).Unix()}), ErrBadToken},
		"expired, forged": {sign(jwt.SigningMethodHS256, make([]byte, 32),
			jwt.MapClaims{"sub": "cats", "scope": "publish", "exp": 1}), ErrBadToken},
	} {
		if c, err := s.Verify(background, tt.token); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, %v; want %v", name, c, err, tt.want)
		}
	}
}

func TestTokenWithoutID(t *testing.T) {
	s := open(t)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256,
		jwt.MapClaims{"sub": "cats", "scope": "publish"}).SignedString(s.key())
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Verify(background, token)
	if err != nil || a.ID == "" || strings.Contains(token, a.ID) {
		t.Errorf("got %v, %v", a, err)
	}
	if b, _ := s.Verify(background, token); a.Owner() != b.Owner() {
		t.Error("the same token is another owner")
	}
}

func TestExpiredTokenStillTellsWhoseItWas(t *testing.T) {
	s := open(t)
	token := mint(t, s, Claims{Stream: "cats", Scopes: []Scope{Publish}, ID: "me", Expires: time.Now().Add(-time.Minute)})
	if c, err := s.Verify(background, token); !errors.Is(err, ErrExpired) || c.Owner() != "key:me" {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestCheck(t *testing.T) {
	one := func(scopes ...Scope) Claims { return Claims{Stream: "cats", Scopes: scopes, KeyGeneration: 2} }
	all := func(scopes ...Scope) Claims { return Claims{Stream: AllStreams, Scopes: scopes} }
	for _, tt := range []struct {
		claims     Claims
		scope      Scope
		stream     siaran.StreamName
		generation int
		want       error
	}{
		{one(Watch), Watch, "cats", 2, nil},
		{one(Watch), Publish, "cats", 2, ErrForbidden},
		{one(Watch), Admin, "cats", 2, ErrForbidden},
		{one(Publish), Publish, "cats", 2, nil},
		{one(Publish), Watch, "cats", 2, nil},
		{one(Publish), Admin, "cats", 2, ErrForbidden},
		{one(Admin), Publish, "cats", 2, nil},
		{one(Admin), Watch, "cats", 2, nil},
		{one(Admin), Watch, "dogs", 2, ErrForbidden},
		{one(Publish), Publish, "cats", 3, ErrRevoked},
		{one(Publish), Publish, "cats", 1, ErrRevoked},
		{one(Watch), Publish, "cats", 3, ErrForbidden},
		{all(Publish), Publish, "cats", 9, nil},
		{all(Watch), Watch, "cats", 9, nil},
		{all(Watch), Publish, "cats", 9, ErrForbidden},
		{all(Admin), Admin, "cats", 9, nil},
		{all(Metrics), Watch, "cats", 9, ErrForbidden},
		{all(Metrics), Publish, "cats", 9, ErrForbidden},
		{all(Metrics), Admin, "cats", 9, ErrForbidden},
		{Claims{}, Watch, "cats", 0, ErrForbidden},
	} {
		if got := tt.claims.Check(tt.scope, Target{Stream: tt.stream, KeyGeneration: tt.generation}); !errors.Is(got,
			tt.want) {
			t.Errorf("%v for %s of %s at %d: got %v, want %v", tt.claims, tt.scope, tt.stream, tt.generation, got, tt.want)
		}
	}
	if !all(Admin).IsAdmin() || all(Publish).IsAdmin() || one(Admin).IsAdmin() {
		t.Error("IsAdmin is wrong")
	}
	if !all(Admin).MayScrape() || !all(Metrics).MayScrape() || all(Publish, Watch).MayScrape() || one(Admin).MayScrape() ||
		all(Metrics).IsAdmin() {
		t.Error("MayScrape is wrong")
	}
}

// FuzzVerify looks for tokens that are taken though this secret has not signed them.
func FuzzVerify(f *testing.F) {
	s := newSecret("", bytes.Repeat([]byte{7}, secretSize))
	valid := mint(f, s, Claims{Stream: "cats", Scopes: []Scope{Publish}, ID: "x", Expires: time.Now().Add(time.Hour)})
	other := newSecret("", bytes.Repeat([]byte{8}, secretSize))
	for _, seed := range []string{
		"", ".", "..", "...", valid, valid[:len(valid)-1], "undefined", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.",
		mint(f, other, Claims{Stream: AllStreams, Scopes: []Scope{Admin}}),
		"eyJhbGciOiJIUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AAAA", strings.Repeat(".", 4096),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := s.Verify(background, token)
		if err != nil {
			return
		}
		signed := valid[:strings.LastIndexByte(valid, '.')+1]
		if !strings.HasPrefix(token, signed) || c.Owner() != "key:x" {
			t.Errorf("took %q as %v", token, c)
		}
	})
}

// TestPublisher: a proof is good for one owner of one broadcast, and tells its readers nothing.
func TestPublisher(t *testing.T) {
	s, other := open(t), open(t)
	proof := s.Publisher("cats", "b1", "key:me")
	if !s.Publishes(proof, "cats", "b1", "key:me") || strings.Contains(proof, "me") || len(proof) < 20 {
		t.Errorf("%q is no proof", proof)
	}
	if other.Publishes(proof, "cats", "b1", "key:me") || s.Publishes(proof, "dogs", "b1", "key:me") ||
		s.Publishes(proof, "cats", "b2", "key:me") || s.Publishes(proof, "cats", "b1", "key:you") ||
		s.Publishes(s.Publisher("cats", "b1", ""), "cats", "b1", "") || s.Publishes("", "cats", "b1", "key:me") ||
		s.Publishes(s.Publisher("cats", "b1\x00key:me", ""), "cats", "b1", "key:me\x00") {
		t.Error("a proof of something else is taken")
	}
}
