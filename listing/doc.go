// Package listing keeps what is live and who watches, for all readers and across servers.
//
// [SQLite] is the embedded implementation of siaran.Listing: one file in the data folder.
// One connection writes, a few read, and one more serves the change feed behind Watch: it
// asks the file whether anything has been committed, by whomever, reads the live streams
// when something has, and hands the same set to all watchers, who find the differences themselves.
//
// [Firestore] is the one for several servers, and for apps that listen to it themselves. What a stream is
// goes there in transactions, which are rare; viewers and their numbers go in flushes, each document at
// most once and each number at most once a second. Two listeners mirror in memory what is live on all
// servers, for all who read and watch. Leases are measured by the database's own time. docs/firestore.md
// has the schema, and who writes what when.
//
// A [Reporter] takes the feed of a hub and writes it down under the lease of its node. It
// alone writes what is live; neither ingest nor egress knows it, and a listing that is slow
// or away costs the media nothing.
//
// Everything that is live in the listing hangs on the lease of a node, which the node
// renews every few seconds. When it stops doing so, its streams count as offline for every
// reader at once; a sweep tidies up later.
//
// The package listingtest holds the tests that every implementation must pass.
package listing
