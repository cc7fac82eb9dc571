package ingest

import (
	"io"
	"sync"
)

// maxReportSources is for how many sources a session may get RTCP; pion keeps state for each.
const maxReportSources = 512

// sink stands where pion keeps the packets of one SSRC until they are read. It hands them on at once and is
// always empty, so a reader only waits for its end.
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
