package load

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	period   = time.Second
	logPause = 30 * time.Second
)

// Monitor reads once a second, and keeps the newest state. Its methods may be called from any goroutine.
type Monitor struct {
	marks atomic.Pointer[Marks]
	state atomic.Pointer[State]
	log   *slog.Logger

	gate   gate // of Run's goroutine
	told   State
	toldAt time.Time
}

// NewMonitor makes a monitor that finds everything fine until it runs.
func NewMonitor(m Marks, logger *slog.Logger) *Monitor {
	mon := &Monitor{log: logger}
	mon.SetMarks(m)
	mon.state.Store(&State{})
	return mon
}

// SetMarks sets the marks from now on.
func (m *Monitor) SetMarks(marks Marks) { m.marks.Store(&marks) }

// State returns the newest state, which nobody changes.
func (m *Monitor) State() State { return *m.state.Load() }

// Run reads until ctx ends. changed is called when the server has closed or opened.
func (m *Monitor) Run(ctx context.Context, read func() Reading, changed func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.step(read(), changed)
		}
	}
}

func (m *Monitor) step(r Reading, changed func()) {
	before, s := m.State(), m.gate.read(r, *m.marks.Load())
	m.state.Store(&s)
	if !same(before, s) {
		changed()
	}
	m.tell(r.At, s)
}

// same reports whether two states take the same.
func same(a, b State) bool {
	return (a.Viewers == "") == (b.Viewers == "") && (a.Children == "") == (b.Children == "")
}

// tell logs what is new, twice a minute at most: then the newest.
func (m *Monitor) tell(now time.Time, s State) {
	if same(m.told, s) || now.Sub(m.toldAt) < logPause {
		return
	}
	m.told, m.toldAt = s, now
	switch {
	case s.Children != "":
		m.log.Warn("too busy: no further viewers or pulls by other servers are taken; those who are here stay",
			"cause", s.Children)
	case s.Viewers != "":
		m.log.Warn("too busy: no further viewers are taken; those who are here stay", "cause", s.Viewers)
	default:
		m.log.Info("further viewers are taken again")
	}
}
