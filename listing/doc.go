// Package listing records what is live and who watches, for all readers and across servers.
//
// A [Reporter] takes the feed of a hub and writes it to a siaran.Listing under the lease of its node. It alone writes
// what is live: ingest and egress do not know it, and a listing that is slow or unreachable costs the media nothing.
//
// Everything that is live in the listing depends on the lease of a node, which the node renews every few seconds. When
// it stops, its streams are offline for every reader at once; a sweep tidies up later.
//
// A [Cached] stands in front of the listing for everyone who may ask as often as they like.
//
// Package sqlite keeps the listing in a file, package firestore in a database that several servers share. Package
// listingtest has the tests that every implementation must pass. What an implementation may offer beyond
// siaran.Listing is in contract.go.
package listing
