package access

import "errors"

// Errors that callers may test for with errors.Is. Their texts may be shown to clients.
var (
	ErrNoToken   = errors.New("a token is needed: send it as 'Authorization: Bearer TOKEN'")
	ErrBadToken  = errors.New("the token was not issued by this server")
	ErrExpired   = errors.New("the token has expired: ask for a new one")
	ErrRevoked   = errors.New("the token has been revoked: keys have been renewed since it was made")
	ErrForbidden = errors.New("the token does not allow this")

	// Of accounts.
	ErrSignedOut   = errors.New("the account has been signed out everywhere: sign in again")
	ErrDisabled    = errors.New("the account has been disabled or removed")
	ErrUnreachable = errors.New("the sign-in service does not answer, so accounts cannot be verified; " +
		"try again in a moment")
	ErrKeptByKeys = errors.New("the stream is run with keys of this server and belongs to no account: " +
		"choose another name, or ask an administrator to give it to your account")
)
