package egress

import "net/netip"

// port is the system's side of the socket. There is one implementation for Linux, with
// batches, and one that works everywhere.
type port interface {
	// read hands out datagrams, one at a time and only lent, until the port is closed. local is which of our addresses
	// a datagram was sent to, when the system tells and there is more than one.
	read(handle func(b []byte, from netip.AddrPort, local netip.Addr))
	// send sends one datagram from any goroutine. An error means that it was lost.
	send(b []byte, to *path) error
	// sendBatch sends all of a batch and returns how many datagrams were lost.
	sendBatch(b *batch) (lost int)
	// segments is how many datagrams of one size may go in one message.
	segments() int
	local() netip.AddrPort
	// close makes read return; free lets go of the port, after that.
	close() error
	free() error
}
