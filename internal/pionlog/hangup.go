package pionlog

import (
	"fmt"
	"strings"
	"sync"

	"github.com/pion/logging"
)

// IsHangUp reports whether a line that pion/dtls logs at trace level says that the other side has closed the session:
// "<side>: <- Alert Warning: CloseNotify". pion v3 has no other way to learn it. Tests check that pion still writes it.
func IsHangUp(scope, format string, args []any) bool {
	return scope == "dtls" && strings.Contains(format, "<-") &&
		strings.Contains(fmt.Sprintf(format, args...), "CloseNotify")
}

// HangUps makes loggers that log nothing, but call f once when the other side has closed the session. f must not block.
func HangUps(f func()) logging.LoggerFactory { return &hangUps{f: f} }

type hangUps struct {
	f    func()
	once sync.Once
}

// NewLogger implements logging.LoggerFactory.
func (h *hangUps) NewLogger(scope string) logging.LeveledLogger {
	return &hangUpLog{LeveledLogger: Silent.NewLogger(scope), scope: scope, hangUps: h}
}

type hangUpLog struct {
	logging.LeveledLogger
	scope   string
	hangUps *hangUps
}

func (l *hangUpLog) Tracef(format string, args ...any) {
	if IsHangUp(l.scope, format, args) {
		l.hangUps.once.Do(l.hangUps.f)
	}
}
