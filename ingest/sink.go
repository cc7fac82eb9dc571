package ingest

import (
	"io"
	"sync"
)

// maxNamedSSRCs bounds the SSRCs that the RTCP of a session names, in its report blocks too, because pion keeps state
// for each. filter sees only the sender of a packet, as the rest is encrypted.
const maxNamedSSRCs = 512

// sink replaces the buffer in which pion keeps the packets of one SSRC until they are read. It passes them on at once
// and is always empty, so readers wait until it is closed.
type sink struct {
	take   func([]byte)
	once   sync.Once
	closed chan struct{}
}

func (s *sink) Write(b []byte) (int, error) {
	s.take(b)
	return len(b), nil
}

func (s *sink) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.EOF
}

// Close may be called more than once.
func (s *sink) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
