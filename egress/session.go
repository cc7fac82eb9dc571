package egress

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"siaran"
	"siaran/internal/measure"
	"siaran/internal/sdp"
)

var (
	errSetup     = errors.New("the viewer did not connect in time")
	errConsent   = errors.New("the viewer's consent has expired")
	errEnded     = errors.New("ended through its URL")
	errKicked    = errors.New("kicked")
	errBanned    = errors.New("banned for the broadcast")
	errWithdrawn = errors.New("the viewer may no longer watch")
	errLeft      = errors.New("left")
	errPanic     = errors.New("a fault of the server")
)

// session is one viewer from its offer to its end. It has a goroutine only while it connects and while it is taken
// down: before the first check it waits in the server's list, and once connected it belongs to its worker.
type session struct {
	server    *Server
	id        siaran.SessionID
	viewerID  siaran.ViewerID
	owner     string
	from      netip.Addr // where its offer came from; invalid: it is not counted
	child     bool       // another server, which is no viewer
	broadcast *siaran.Broadcast
	link      *link
	plans     []plan
	worker    *worker
	deadline  time.Time              // for connecting
	viewer    atomic.Pointer[viewer] // set when connected
	wishes    wishes
	progress  progress
	trace     measure.Trace
	figures   figures
	arrived   siaran.Viewer // set before viewer
	// The viewer's DTLS, as the offer has it.
	setup        string
	fingerprints []sdp.Fingerprint

	// The handshake, while it runs and afterwards. Guarded by mu.
	mu         sync.Mutex
	cancel     context.CancelFunc
	connecting chan struct{} // closed when the handshake's goroutine is done
	ending     bool

	endOnce sync.Once     // ended starts one goroutine
	done    chan struct{} // closed when nothing of it is left
}

func (s *session) info() siaran.SessionInfo {
	media, described := "", false
	for _, p := range s.plans {
		if p.Kind == siaran.KindVideo {
			media, described = strconv.Itoa(p.Section), p.DescriptorID != 0
		}
	}
	ice := s.link.current()
	return siaran.SessionInfo{
		Stream: s.broadcast.Stream(), Owner: s.owner, Viewer: s.viewerID, Tag: ice.ufrag,
		RemoteUfrag: ice.remoteUfrag, RemotePassword: ice.remotePwd, VideoMedia: media, Described: described,
	}
}

// The session is its link's owner.
var _ linkEvents = (*session)(nil)

// report implements linkEvents: reports are for the worker.
func (s *session) report(plain []byte) {
	if v := s.viewer.Load(); v != nil {
		s.worker.push(v, plain)
	}
}

// ended implements linkEvents. A flood must not start a goroutine for each datagram.
func (s *session) ended(why error) {
	s.endOnce.Do(func() { s.server.spawn(func() { s.end(why) }) })
}

// goTracked implements linkEvents.
func (s *session) goTracked(f func()) bool { return s.server.spawn(f) }

// handshakeSlots implements linkEvents.
func (s *session) handshakeSlots() chan struct{} { return s.server.handshakes }

// firstCheck implements linkEvents: the session starts to connect.
func (s *session) firstCheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return
	}
	s.reach(stageChecked, time.Now())
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

// connect brings the viewer from its first check to its worker.
func (s *session) connect(ctx context.Context) error {
	err := s.link.reach(ctx)
	if err == nil {
		s.reach(stageProven, time.Now())
		err = s.link.handshake(ctx, s.link.certificate.Certificate, s.setup == "passive", s.fingerprints)
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	if err := s.arrive(); err != nil {
		return err
	}
	v := newViewer(s.link, s.plans, func(why error) { s.server.spawn(func() { s.end(why) }) })
	v.wishes, v.figures = &s.wishes, &s.figures
	if s.child {
		v.child = newChild(s.broadcast, s.id, v)
	}
	if err := s.join(v); err != nil {
		s.depart()
		return err
	}
	s.reach(stageSecured, time.Now())
	v.reached = s.reach // from now on by the worker
	s.worker.add(v)
	return nil
}

// arrive counts the viewer among those of the broadcast. A child says itself how many it brings.
func (s *session) arrive() error {
	if s.child {
		return nil
	}
	s.arrived = siaran.Viewer{ID: s.viewerID, JoinedAt: time.Now(), Path: s.path()}
	return s.broadcast.Join(s.arrived)
}

// depart undoes arrive, and forgets the viewers that a child has brought.
func (s *session) depart() {
	if s.child {
		s.broadcast.GoneBelow(s.id)
		return
	}
	s.broadcast.Leave(s.viewerID)
}

// join makes the session that of a connected viewer, unless it is being ended.
func (s *session) join(v *viewer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return errEnded
	}
	return s.server.connected(s, v)
}

// end takes the session down and returns when nothing of it is left, whoever called it first. Before it waits for
// anything the session is out of the server's lists.
func (s *session) end(why error) {
	s.mu.Lock()
	first := !s.ending
	s.ending = true
	cancel, connecting := s.cancel, s.connecting
	v := s.viewer.Load()
	s.mu.Unlock()
	if !first {
		<-s.done
		return
	}
	s.server.forget(s, why)
	if cancel != nil {
		cancel()
	}
	if v == nil {
		s.link.close()
	}
	if connecting != nil {
		<-connecting
	}
	if v != nil {
		s.worker.remove(v)
		s.depart()
		s.link.close()
	}
	s.count(why)
	level := slog.LevelInfo
	if errors.Is(why, errSetup) {
		level = slog.LevelWarn
	}
	if s.child {
		s.server.cfg.Logger.Log(context.Background(), level, "child gone",
			"stream", s.broadcast.Stream(), "child", s.owner, "session", s.id.String(), "reason", why)
	} else {
		s.server.cfg.Logger.Log(context.Background(), level, "viewer gone",
			"stream", s.broadcast.Stream(), "viewer", s.viewerID, "session", s.id.String(), "reason", why)
	}
	close(s.done)
}

// count counts how the session has ended, and tells its trace.
func (s *session) count(why error) {
	if s.child {
		return
	}
	tally, reason := &s.server.joins.endings, ""
	if s.viewer.Load() != nil {
		reason = ending(why)
	} else {
		tally, reason = &s.server.joins.outcomes, s.progress.outcome(why)
	}
	tally.Count(reason)
	s.trace.End(measure.SessionEnd{
		Stream: string(s.broadcast.Stream()), Session: s.id.String(), Viewer: string(s.viewerID), Path: s.path(),
		Reason: reason, Failed: slices.Contains(unwanted, reason),
		From: s.progress.at[stageOffered], To: time.Now(),
	})
}

func random32() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}
