package access

import (
	"strings"

	"siaran"
)

// Target is a stream, as far as it decides who may do what with it.
type Target struct {
	Stream        siaran.StreamName
	KeyGeneration int
	Owner         string // the account that keeps it; empty: it is run with keys
	New           bool   // nobody has used the name yet
}

// Check tells whether the claims allow what needs scope on a stream: nil, ErrForbidden, ErrRevoked, and
// of an account ErrKeptByKeys or siaran.ErrNotOwner. A new name is open to each account; who uses it first keeps it.
func (c Claims) Check(scope Scope, on Target) error {
	if !c.has(scope) || !c.Concern(on.Stream) {
		return ErrForbidden
	}
	if c.Stream != AllStreams && c.KeyGeneration != on.KeyGeneration {
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

// Concern tells whether the claims are about a stream at all.
func (c Claims) Concern(stream siaran.StreamName) bool {
	return c.Stream == AllStreams || c.Stream == string(stream)
}

// IsAccount tells whether text can be an account, such as "firebase:UID".
func IsAccount(text string) bool {
	provider, id, _ := strings.Cut(text, ":")
	return provider == "firebase" && len(id) >= 1 && len(id) <= 128 && strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// Keeps tells whether the stream becomes the account's with its next use.
func (c Claims) Keeps(on Target) bool { return c.Account != "" && on.New && on.Owner == "" }
