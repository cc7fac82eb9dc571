package egress

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"siaran"
)

var (
	errSetup   = errors.New("the viewer did not connect in time")
	errConsent = errors.New("the viewer's consent has run out")
	errEnded   = errors.New("ended through its URL")
	errKicked  = errors.New("sent away")
)

// session is one viewer from its offer to its end.
type session struct {
	id        siaran.SessionID
	viewerID  siaran.ViewerID
	owner     string
	offer     *siaran.Offer
	tag       string
	broadcast *siaran.Broadcast
	link      *link
	plans     []plan
	cname     string
	worker    *worker
	connected atomic.Bool
	viewer    atomic.Pointer[viewer] // set when connected

	cancel context.CancelCauseFunc
	done   chan struct{} // closed when nothing of it is left
}

// run connects the viewer, has it served, and takes all down again.
func (s *session) run(ctx context.Context, srv *Server) error {
	defer s.link.close()
	setup, stop := context.WithTimeoutCause(ctx, srv.cfg.SetupTimeout, errSetup)
	defer stop()
	select {
	case <-s.link.found:
	case <-setup.Done():
		return context.Cause(setup)
	}
	if err := srv.acquireHandshake(setup); err != nil {
		return err
	}
	conn, err := s.link.handshake(setup, *srv.cfg.Certificate, s.offer)
	srv.releaseHandshake()
	if err != nil {
		if setup.Err() != nil {
			return context.Cause(setup)
		}
		return err
	}
	defer conn.Close() // sends close_notify
	stop()
	if err := s.broadcast.Join(siaran.Viewer{ID: s.viewerID, JoinedAt: time.Now(), Path: "direct"}); err != nil {
		return err
	}
	defer s.broadcast.Leave(s.viewerID)
	v := newViewer(s.link, s.plans, s.cname, func() { s.cancel(errConsent) })
	s.viewer.Store(v)
	s.connected.Store(true)
	srv.setupDone(s)
	s.worker.add(v)
	defer s.worker.remove(v)

	// The handshake's connection is read for the viewer's goodbye alone: data channels are never negotiated.
	unblock := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer unblock()
	buf := make([]byte, maxDatagram)
	for {
		if _, err := conn.Read(buf); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return io.EOF
		}
	}
}

// end closes the session and waits until nothing of it is left.
func (s *session) end(why error) {
	s.cancel(why)
	<-s.done
}

func random32() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}

// randomText is n random bytes in characters that an ICE user name may have (RFC 8839 section 5.4).
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawStdEncoding.EncodeToString(b)
}
