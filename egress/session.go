package egress

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"siaran"
)

var (
	errSetup   = errors.New("the viewer did not connect in time")
	errConsent = errors.New("the viewer's consent has run out")
	errEnded   = errors.New("ended through its URL")
	errKicked  = errors.New("sent away")
	errLeft    = errors.New("left")
)

// session is one viewer from its offer to its end. It has a goroutine only while it
// connects and while it is taken down: before the first check it waits in the server's
// list, and once connected it is its worker's.
type session struct {
	server    *Server
	id        siaran.SessionID
	viewerID  siaran.ViewerID
	owner     string
	pwd       string // the viewer's
	broadcast *siaran.Broadcast
	link      *link
	plans     []plan
	worker    *worker
	deadline  time.Time              // to be connected by
	viewer    atomic.Pointer[viewer] // set when connected
	// What the offer said of the viewer's DTLS.
	setup        string
	fingerprints []siaran.Fingerprint

	// The handshake, while and after it runs. Guarded by mu.
	mu         sync.Mutex
	cancel     context.CancelFunc
	connecting chan struct{} // closed when the handshake's goroutine has nothing more to do
	ending     bool

	done chan struct{} // closed when nothing of it is left
}

func (s *session) info() siaran.SessionInfo {
	return siaran.SessionInfo{
		Stream: s.broadcast.Stream(), Owner: s.owner, Tag: s.link.ufrag, RemoteUfrag: s.link.remoteUfrag, RemotePassword: s.pwd,
	}
}

// found starts the handshake, with the first right check.
func (s *session) found() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return
	}
	ctx, cancel := context.WithDeadlineCause(context.Background(), s.deadline, errSetup)
	connecting := make(chan struct{})
	s.cancel, s.connecting = cancel, connecting
	if !s.server.spawn(func() {
		err := s.connect(ctx)
		cancel()
		close(connecting)
		if err != nil {
			s.end(err)
		}
	}) {
		cancel()
		close(connecting)
	}
}

// connect takes the viewer from its first check to its worker.
func (s *session) connect(ctx context.Context) error {
	err := s.link.handshake(ctx, *s.server.cfg.Certificate, s.setup == "passive", s.fingerprints)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	way := "direct"
	if s.link.selected.Load().relayed {
		way = "relayed"
	}
	if err := s.broadcast.Join(siaran.Viewer{ID: s.viewerID, JoinedAt: time.Now(), Path: way}); err != nil {
		return err
	}
	v := newViewer(s.link, s.plans, func() { s.server.spawn(func() { s.end(errConsent) }) })
	if err := s.server.connected(s, v); err != nil {
		s.broadcast.Leave(s.viewerID)
		return err
	}
	s.worker.add(v)
	return nil
}

// end takes the session down and returns when nothing of it is left, whoever began it.
func (s *session) end(why error) {
	s.mu.Lock()
	first := !s.ending
	s.ending = true
	cancel, connecting := s.cancel, s.connecting
	s.mu.Unlock()
	if !first {
		<-s.done
		return
	}
	if cancel != nil {
		cancel()
		<-connecting
	}
	if v := s.viewer.Load(); v != nil {
		s.worker.remove(v)
		s.broadcast.Leave(s.viewerID)
	}
	s.link.close()
	s.server.forget(s, why)
	level := slog.LevelInfo
	if errors.Is(why, errSetup) {
		level = slog.LevelWarn
	}
	s.server.cfg.Logger.Log(context.Background(), level, "viewer gone", "stream", s.broadcast.Stream(), "viewer", s.viewerID, "why", why)
	close(s.done)
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
