// Package turn is the embedded relay (RFC 8656): it takes the media of clients whose network lets
// nothing out to the media port. It imports nothing of this module.
//
// A client's relayed address is no socket. What the client sends to one of this server's media addresses is
// handed to the media demultiplexer in memory ([Config.Deliver]), and what the demultiplexer has for the client comes back
// by [Server.Send]. Inside the process each client has an address of its own in [Config.Virtual], and the port of that
// address says which of our media addresses the client speaks to, so that answers come from there. There is no other way
// out: a stranger with a credential reaches this server's media and nothing else, no port range is opened, and
// the server need not reach its own public address.
//
// Requests are answered by pion/turn: it knows nonces, signatures and lifetimes. A front (front.go) stands before it on
// every UDP socket and on every TCP or TLS connection, each of which has a server of pion's own. The front bounds what strangers
// may ask, gives out permissions and channels (allocation.go), says why the relay refused where pion has but one error for
// everything, and takes the data itself, both ways, so that media costs no goroutine, queue or second copy in between.
//
// Credentials (credential.go) are user names with an expiry, signed with a secret that changes every day.
package turn
