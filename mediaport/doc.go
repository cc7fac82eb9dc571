// Package mediaport is the one UDP port of the server: the media of broadcasters and of viewers comes and goes through
// a [Socket].
//
// A socket knows sessions only as [Endpoint]s. An endpoint has a user name fragment and a [Handler], and claims remote
// addresses ([Claim]). The socket looks at the first byte of a datagram (RFC 7983), finds the endpoint by the user name
// of a STUN request, by the transaction of a STUN response, or by the remote address, and calls its handler. Which
// session an address belongs to, and when it may change hands, is in claim.go.
//
// What strangers send is counted by source and dropped beyond a limit (limiter.go) before it costs anything else.
// Clients of the relay in this process have addresses that no network has (relay.go); they come and go through the same
// socket.
//
// Below that is the operating system. A [Batch] collects datagrams and sends them with one system call, and runs of
// datagrams of one size as one message that the kernel or the network card cuts up (UDP_SEGMENT). rawport_linux.go is
// the fast implementation for Linux, rawport_std.go the one that works everywhere.
//
// A [Port] is a UDP port with the same fast paths and none of the rest. The TURN relay has one.
package mediaport
