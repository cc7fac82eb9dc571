// Package web is the HTTP side of the server: the WHIP and WHEP endpoints, the JSON API
// with its live updates, the pages, and who may use what.
//
// [New] takes everything it serves as small interfaces and [Server.Serve] answers until its
// context ends. WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) are one implementation,
// endpoint.go and resource.go, over [Sessions]; the sessions themselves know no HTTP.
//
// What is live comes from the listing: one watch of it feeds a board (board.go), from which
// every client of the event stream is served at its own pace. Every error leaves as
// application/problem+json (problem.go), and handlers return errors of the domain, which are
// turned into status codes in that one place.
package web
