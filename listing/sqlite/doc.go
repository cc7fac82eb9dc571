// Package sqlite keeps the listing in one SQLite file in the data folder.
//
// One connection writes, a few read, and one more serves the change feed behind Watch: it asks the file whether anyone
// has committed anything, reads the live streams if so, and hands the same set to all watchers, who find the
// differences themselves.
package sqlite
