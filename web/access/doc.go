// Package access decides who may do what. At its first start the server makes a random secret and keeps it in the data
// folder. A token is a JWT signed with that secret (HS256, RFC 7519). It names a stream, or all streams, and what may
// be done with it.
//
// Nothing is stored for a token. Each one carries the key generation of its stream, and only the newest generation is
// valid, so that a single change revokes all tokens of a stream.
//
// Tokens of accounts at a sign-in service, such as Firebase, have a TokenVerifier of their own. An account may use any
// name that is new, and owns it from then on.
package access
