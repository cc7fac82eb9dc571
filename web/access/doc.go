// Package access says who may do what. The server draws a secret at its first start and
// keeps it in the data folder; a token is a JWT signed with it (HS256, RFC 7519) that names
// a stream, or all of them, and what may be done with it.
//
// Nothing is stored for a token. One click makes all tokens of a stream void because each
// carries the stream's key generation, and only the newest generation counts.
//
// Tokens of accounts that others look after, such as Firebase's, come in by a TokenVerifier of
// their own. An account may use each name that is new, and keeps it from then on.
package access
