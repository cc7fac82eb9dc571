// Package turn is the embedded relay (RFC 8656). It carries the media of clients whose network lets nothing out to
// the media port.
//
// A client's relayed address is not a socket. What the client sends to one of this server's media addresses is handed
// to the media port in memory ([Config.Deliver]), and what the media port has for the client comes back through
// [Server.Send]. Inside the process, each client has its own address in [Config.Virtual]; the port of that address
// says which of our media addresses the client sends to, so that answers come from there. There is no other way out:
// a stranger with a credential reaches this server's media and nothing else, no range of ports is opened, and the
// server need not be able to reach its own public address.
//
// pion/turn answers requests: it handles nonces, signatures and lifetimes. An interposer (interposer.go) stands
// before it on each UDP socket and each TCP or TLS connection, all of which have their own pion server. The
// interposer limits clients without an allocation, gives permissions and channels (allocation.go), says why the relay
// refused where pion has a single error for everything, and carries the data itself in both directions, so that media
// costs no goroutine, queue or second copy.
//
// Credentials (credential.go) are user names with an expiry, signed with a secret that changes every day.
package turn
