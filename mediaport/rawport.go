package mediaport

import "net/netip"

// rawPort is a UDP socket of the operating system. One implementation is for Linux, with batches; another works
// everywhere.
type rawPort interface {
	// read hands out datagrams, one at a time and only lent, until the port is closed. local is the address of ours that
	// a datagram was sent to, if the system tells and there is more than one.
	read(handle func(b []byte, from netip.AddrPort, local netip.Addr))
	// send sends one datagram, from any goroutine. An error means that it was lost.
	send(b []byte, to *Path) error
	// sendBatch sends the messages of a batch and returns how many datagrams were lost.
	sendBatch(b *Batch) (lost int)
	// segments is how many datagrams of one size may go in one message.
	segments() int
	// refusals is how many runs the system has refused whose datagrams went out one by one.
	refusals() uint64
	// stuck is how many datagrams of batches were lost because the system had no room for them.
	stuck() uint64
	local() netip.AddrPort
	// close makes read return. free releases the port after that.
	close() error
	free() error
}
