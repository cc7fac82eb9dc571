package testutil

import (
	"context"
	"net"
)

// Pipe is a listener whose connections are pipes in memory, so that a server on it can live in synthetic time.
type Pipe struct {
	conns chan net.Conn
	ended chan struct{}
}

func NewPipe() *Pipe { return &Pipe{make(chan net.Conn), make(chan struct{})} }

// Dial connects to the listener.
func (p *Pipe) Dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.ended:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

// Close is called once.
func (p *Pipe) Close() error {
	close(p.ended)
	return nil
}

func (p *Pipe) Addr() net.Addr { return &net.TCPAddr{} }
