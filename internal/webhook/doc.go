// Package webhook tells receivers of the operator what happens to broadcasts and viewers: docs/webhooks.md is for those
// who write one.
//
//	hub ──Feed──► Sender.watch ──► tracker ──► store (a file) and one queue a receiver ──► receiver.run ──► HTTPS
//
// The hub's feed keeps the newest state for readers that are slow, so nothing here can hold media up. The tracker turns
// states into events. An event is in the file before it is sent and until the receiver has taken it, or until the queue
// has no room: then batches of viewers go first. If the file cannot be written, events wait in memory.
//
// Messages about one stream go to a receiver one after the other; those of different streams in parallel. When there is
// no answer at all, the receiver is left alone for a while; when the answer is an error, only the stream waits.
package webhook
