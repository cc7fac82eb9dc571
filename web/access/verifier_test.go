package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"siaran"
)

const elsewhere = "https://securetoken.google.com/demo"

// stand answers in the place of a verifier, and counts.
type stand struct{ asked int }

func (s *stand) Verify(context.Context, string) (Claims, error) {
	s.asked++
	return Claims{Stream: AllStreams, Scopes: []Scope{Publish}, Account: "firebase:ana"}, nil
}

func (s *stand) Recheck(_ context.Context, c Claims) (Claims, error) {
	s.asked++
	return c, nil
}

func claiming(body string) string {
	return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(body)) + ".c2ln"
}

// TestByIssuer: only a token that names the issuer goes to its verifier; our own need not name anyone.
func TestByIssuer(t *testing.T) {
	s := open(t)
	own := mint(t, s, Claims{Stream: "cats", Scopes: []Scope{Publish}})
	for name, tt := range map[string]struct {
		token   string
		account string
		want    error
	}{
		"ours":           {own, "", nil},
		"theirs":         {claiming(`{"iss":"` + elsewhere + `"}`), "firebase:ana", nil},
		"another issuer": {claiming(`{"iss":"` + elsewhere + `2"}`), "", ErrBadToken},
		"no issuer":      {claiming(`{}`), "", ErrBadToken},
		"odd issuer":     {claiming(`{"iss":["` + elsewhere + `"]}`), "", ErrBadToken},
		"none":           {"", "", ErrNoToken},
		"junk":           {"undefined", "", ErrBadToken},
		"two parts":      {strings.TrimSuffix(claiming(`{"iss":"`+elsewhere+`"}`), ".c2ln"), "", ErrBadToken},
		"huge": {claiming(`{"iss":"` + elsewhere + `","x":"` + strings.Repeat("x", MaxToken) + `"}`), "",
			ErrBadToken},
	} {
		there := &stand{}
		c, err := ByIssuer(s, map[string]TokenVerifier{elsewhere: there}).Verify(background, tt.token)
		if !errors.Is(err, tt.want) || c.Account != tt.account {
			t.Errorf("%s: got %+v, %v; want %v", name, c, err, tt.want)
		}
		if asked := there.asked > 0; asked != (tt.account != "") {
			t.Errorf("%s: the other verifier was asked: %v", name, asked)
		}
	}
}

// TestAccounts: whose a stream is decides, and what an administrator's account may.
func TestAccounts(t *testing.T) {
	ana := Claims{Stream: AllStreams, Scopes: []Scope{Publish}, Account: "firebase:ana"}
	admin := Claims{Stream: AllStreams, Scopes: []Scope{Admin}, Account: "firebase:adm"}
	key := Claims{Stream: "cats", Scopes: []Scope{Publish}}
	newName := Target{Stream: "cats", New: true}
	hers := Target{Stream: "cats", Owner: "firebase:ana", KeyGeneration: 4}
	his := Target{Stream: "cats", Owner: "firebase:budi"}
	keys := Target{Stream: "cats", KeyGeneration: 4}
	for _, tt := range []struct {
		claims   Claims
		scope    Scope
		on       Target
		want     error
		acquires bool
	}{
		{ana, Publish, newName, nil, true},
		{ana, Publish, hers, nil, false},
		{ana, Watch, hers, nil, false},
		{ana, Admin, hers, ErrForbidden, false},
		{ana, Publish, his, siaran.ErrNotOwner, false},
		{ana, Watch, his, siaran.ErrNotOwner, false},
		{ana, Publish, keys, ErrKeptByKeys, false},
		{admin, Publish, newName, nil, true},
		{admin, Publish, his, nil, false},
		{admin, Publish, keys, nil, false},
		{admin, Admin, his, nil, false},
		{key, Publish, his, nil, false}, // keys of the stream go on working
		{key, Publish, hers, ErrRevoked, false},
		{key, Publish, newName, nil, false},
	} {
		if got := tt.claims.Check(tt.scope, tt.on); !errors.Is(got, tt.want) {
			t.Errorf("%+v for %s of %+v: got %v, want %v", tt.claims, tt.scope, tt.on, got, tt.want)
		}
		if got := tt.claims.Acquires(tt.on); got != tt.acquires {
			t.Errorf("%+v acquires %+v: %v", tt.claims, tt.on, got)
		}
	}
	if ana.Owner() != "firebase:ana" || (Claims{}).Owner() != "" {
		t.Error("Owner is wrong")
	}
	for text, want := range map[string]bool{"firebase:x": true, "firebase:": false, "x": false, "": false,
		"firebase:a b": false, "key:x": false, "firebase:" + strings.Repeat("x", 129): false} {
		if IsAccount(text) != want {
			t.Errorf("IsAccount(%q) is %v", text, !want)
		}
	}
}

// FuzzByIssuer looks for tokens that go astray: to another verifier though they do not name it, or not though they do.
func FuzzByIssuer(f *testing.F) {
	for _, seed := range []string{
		"", ".", "..", "...", "undefined", claiming(`{"iss":"` + elsewhere +
			`"}`), claiming(`{"iss":null}`), claiming(`[]`), claiming(`{"iss":"a","iss":"` + elsewhere + `"}`),
		claiming(`{"iss":"`+elsewhere+`"}`) + "=", claiming(strings.Repeat("[", 2000)),
	} {
		f.Add(seed)
	}
	s := newSecret("", make([]byte, secretSize))
	f.Fuzz(func(t *testing.T, token string) {
		there := &stand{}
		ByIssuer(s, map[string]TokenVerifier{elsewhere: there}).Verify(background, token)
		parts := strings.Split(token, ".")
		named := false
		if len(parts) == 3 && len(token) <= MaxToken {
			var body map[string]any
			raw, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err == nil && json.Unmarshal(raw, &body) == nil {
				for name, value := range body { // the library folds case
					named = named || strings.EqualFold(name, "iss") && value == elsewhere
				}
			}
		}
		if there.asked > 0 && !named {
			t.Errorf("%q was taken for a token of another issuer", token)
		}
	})
}
