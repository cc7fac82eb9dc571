// Package live holds what the listings in all databases share: a stream as it is stored, the set of live public
// streams that watchers compare, and the rules for limits and claims.
package live
