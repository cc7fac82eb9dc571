package egress

import (
	"github.com/pion/srtp/v3"

	"siaran"
)

// PanicInWorker makes a viewer's worker panic over it.
func PanicInWorker(s *Server, id siaran.SessionID) {
	s.mu.Lock()
	sess := s.sessions[id]
	s.mu.Unlock()
	sess.worker.do(func() { sess.link.media = nil })
}

// PanicInReader makes the port's reader panic over the next report that a viewer sends.
func PanicInReader(s *Server, id siaran.SessionID) {
	s.mu.Lock()
	l := s.sessions[id].link
	s.mu.Unlock()
	l.in.use(new(srtp.Context))
}

// ClientHello is a datagram that begins a handshake, and Fragment one with a part of a handshake message of zeros.
var (
	ClientHello = clientHelloRecord
	Fragment    = fragmentRecord
)

// ViewerOf returns the viewer of a session.
func (s *Server) ViewerOf(id siaran.SessionID) siaran.ViewerID {
	sess, err := s.find(id)
	if err != nil {
		return ""
	}
	return sess.viewerID
}
