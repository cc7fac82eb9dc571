// Package firestore keeps the listing in a Firestore database, for several servers, and for apps that read it
// themselves.
//
// What a stream is goes there in transactions, which are rare. Viewers and their numbers go in flushes: each document
// at most once, and each number at most once a second. Listeners mirror in memory what is live on all servers, for
// all who read and watch. Leases are measured by the database's own time. docs/firestore.md has the schema, and who
// writes what when.
package firestore
