// Package web is the HTTP side of the server: the WHIP and WHEP endpoints, the JSON API with its live updates, and the
// pages. Package access, below it, has the tokens.
//
// [New] takes everything it serves as small interfaces, and [Server.Serve] answers until its context ends. WHIP
// (RFC 9725) and WHEP (draft-ietf-wish-whep) are one implementation, in endpoint.go and resource.go, over [Sessions].
// The sessions themselves know no HTTP.
//
// Who may do what is decided in one place, authorize.go: it verifies the token of a request once, looks up the stream
// as freshly as the token deserves (lookup.go), and returns both as a grant. What sessions were opened with is
// remembered (rights.go), and a session ends when its right is withdrawn (withdraw.go).
//
// What is live comes from the listing: a single watch of it feeds livefeed.go, which serves every client of the event
// stream at its own pace. Single streams and lists come through the cache of package listing, so that callers who may
// ask as often as they like cost little. Events of a single viewer's session do not come from the listing, but from the
// hub and from egress (viewer_events.go).
//
// Every error is answered as application/problem+json. Handlers return errors of the domain, and problem.go turns them
// into status codes.
package web
