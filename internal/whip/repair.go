package whip

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"siaran/internal/signalling"

	pionnet "github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

const (
	repairTime  = 12 * time.Second // after which a new session is the better way
	answerTime  = 3 * time.Second  // for the server to answer a restart
	pathTime    = 3 * time.Second  // for a restart that the server has answered to find a path
	repairPause = 500 * time.Millisecond
)

// repairs are the ICE restarts of a session that has lost its path.
type repairs struct {
	ctx  context.Context // ends with the session
	stop context.CancelFunc
	up   chan struct{} // the connection is up again

	mu      sync.Mutex
	ended   bool
	running bool
	all     sync.WaitGroup
}

func newRepairs() repairs {
	ctx, cancel := context.WithCancel(context.Background())
	return repairs{ctx: ctx, stop: cancel, up: make(chan struct{}, 1)}
}

// end makes running repairs end, waits for them, and makes others fail.
func (r *repairs) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.stop()
	r.all.Wait()
}

// repair begins to look for another path, unless that is under way. It returns false when there is no hope.
func (s *Session) repair() bool {
	select {
	case <-s.up:
	default:
		return false // it never was connected
	}
	r := &s.repairs
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	if !r.running {
		r.running = true
		select {
		case <-r.up: // from before
		default:
		}
		r.all.Go(func() {
			if !s.restore() {
				s.lose()
			}
			r.mu.Lock()
			r.running = false
			r.mu.Unlock()
		})
	}
	return true
}

func (s *Session) repaired() {
	select {
	case s.repairs.up <- struct{}{}:
	default:
	}
}

// restore restarts ICE until the connection is up again. It returns false when that takes too long or is hopeless.
func (s *Session) restore() bool {
	ctx, cancel := context.WithTimeout(s.repairs.ctx, repairTime)
	defer cancel()
	for pause := repairPause; ; pause *= 2 {
		wait := pathTime
		if err := s.attempt(ctx); err != nil {
			refused := (*signalling.Error)(nil)
			if errors.As(err, &refused) && !refused.Temporary() || errors.Is(err, syscall.ECONNREFUSED) {
				return false
			}
			wait = pause
			if refused != nil {
				wait = max(wait, refused.RetryAfter)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.repairs.up:
			timer.Stop()
			return true
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

func (s *Session) attempt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return s.Restart(ctx)
}

// currentNet is the system's network, with the interfaces of the moment: pion looks at them once, and a restart finds
// others.
type currentNet struct{ *stdnet.Net }

// Interfaces implements pionnet.Net. pion calls it from several goroutines.
func (currentNet) Interfaces() ([]*pionnet.Interface, error) {
	now, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return now.Interfaces()
}
