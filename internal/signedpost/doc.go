// Package signedpost sends JSON to addresses that the operator has set, signed as the Standard Webhooks specification
// says (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body.
//
// Nothing that others say decides where a request goes: redirects are not followed. Private addresses are allowed,
// because only the operator sets the address and may well run the receiver on the same machine. What the other side
// answers is bounded, in bytes and in time.
package signedpost
