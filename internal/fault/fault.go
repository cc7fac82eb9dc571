// Package fault keeps a panic in the reading of bytes from outside to the one datagram or session it was about.
package fault

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

const (
	logEvery = time.Minute
	stack    = 4 << 10 // bytes of it that are logged
)

// Log counts panics and tells the operator of one a minute. Its methods may be called from any goroutine.
type Log struct {
	log *slog.Logger

	mu    sync.Mutex
	count uint64
	told  time.Time
}

// New makes a Log that writes to log.
func New(log *slog.Logger) *Log { return &Log{log: log} }

// Recover is to be deferred itself, or recover would find nothing. After a panic it counts that and calls then, which
// may be nil.
func (l *Log) Recover(where string, then func()) {
	r := recover()
	if r == nil {
		return
	}
	l.mu.Lock()
	l.count++
	count, now := l.count, time.Now()
	due := now.Sub(l.told) >= logEvery
	if due {
		l.told = now
	}
	l.mu.Unlock()
	if due {
		trace := debug.Stack()
		l.log.Error("a fault of this server; please report it", "where", where, "panic", fmt.Sprint(r), "count", count,
			"stack", string(trace[:min(len(trace), stack)]))
	}
	if then != nil {
		then()
	}
}

// Count is how many panics there were.
func (l *Log) Count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}
