package testutil

import (
	"net"
	"sync/atomic"
	"syscall"
)

// NoDescriptors is a listener of a system that has run out of file descriptors.
type NoDescriptors struct {
	calls  atomic.Int64
	closed atomic.Bool
}

// Calls returns how often Accept has been called.
func (l *NoDescriptors) Calls() int64 { return l.calls.Load() }

// Accept implements net.Listener.
func (l *NoDescriptors) Accept() (net.Conn, error) {
	l.calls.Add(1)
	if l.closed.Load() {
		return nil, net.ErrClosed
	}
	return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
}

// Close implements net.Listener.
func (l *NoDescriptors) Close() error {
	l.closed.Store(true)
	return nil
}

// Addr implements net.Listener.
func (l *NoDescriptors) Addr() net.Addr { return &net.TCPAddr{} }
