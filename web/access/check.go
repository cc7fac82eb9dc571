package access

import (
	"strings"

	"siaran"
)

// Target is what decides who may do what with a stream.
type Target struct {
	Stream        siaran.StreamName
	KeyGeneration int
	Owner         string // the account that owns it; empty: it is run with keys
	New           bool   // nobody has used the name yet

	// TokenGeneration is that of tokens for all streams at the server that the stream comes from; nil: it is this one.
	TokenGeneration *int
}

// Check returns nil if the claims give scope over a stream. Otherwise it returns ErrForbidden or ErrRevoked, or for an
// account ErrKeptByKeys or siaran.ErrNotOwner. A new name is open to every account; the first to use it owns it.
func (c Claims) Check(scope Scope, on Target) error {
	if !c.has(scope) || !c.Concern(on.Stream) {
		return ErrForbidden
	}
	switch {
	case c.IsChild():
		return nil
	case c.Stream != AllStreams && c.KeyGeneration != on.KeyGeneration,
		c.Stream == AllStreams && c.Account == "" && on.TokenGeneration != nil && c.KeyGeneration != *on.TokenGeneration:
		return ErrRevoked
	}
	switch {
	case c.Account == "" || c.IsAdmin() || c.Account == on.Owner || on.New && on.Owner == "":
		return nil
	case on.Owner == "":
		return ErrKeptByKeys
	}
	return siaran.ErrNotOwner
}

// Concern reports whether the claims are about a stream at all.
func (c Claims) Concern(stream siaran.StreamName) bool {
	return c.Stream == AllStreams || c.Stream == string(stream)
}

// IsAccount reports whether text can name an account, such as "firebase:UID".
func IsAccount(text string) bool {
	provider, id, _ := strings.Cut(text, ":")
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f }
	return provider == "firebase" && len(id) >= 1 && len(id) <= 128 && !strings.ContainsFunc(id, odd)
}

// Acquires reports whether the stream becomes the account's own with its next use.
func (c Claims) Acquires(on Target) bool { return c.Account != "" && on.New && on.Owner == "" }
