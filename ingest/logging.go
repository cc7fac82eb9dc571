package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/pion/logging"

	"siaran/internal/pionlog"
)

const maxLines = 200 // of pion per session; most of them are caused by bytes from the remote side

// pionLogs makes the loggers of one session's transport. They write a bounded number of lines at debug level. They also
// report the remote side's DTLS close_notify, for which pion v3 has no other way.
type pionLogs struct {
	log      *slog.Logger
	hangUp   func() // called when a close_notify has come; must not block
	lines    atomic.Int32
	closings atomic.Bool
}

// NewLogger implements logging.LoggerFactory.
func (f *pionLogs) NewLogger(scope string) logging.LeveledLogger { return &pionLog{f, scope} }

type pionLog struct {
	factory *pionLogs
	scope   string
}

// Tracef looks for the line that reports a close_notify.
func (l *pionLog) Tracef(format string, args ...any) {
	if pionlog.IsHangUp(l.scope, format, args) && !l.factory.closings.Swap(true) {
		l.factory.hangUp()
	}
}

func (l *pionLog) write(level, text string) {
	n := l.factory.lines.Add(1)
	if n > maxLines {
		l.factory.lines.Store(maxLines + 1)
		return
	}
	if len(text) > 300 {
		text = text[:300]
	}
	l.factory.log.Debug("transport", "scope", l.scope, "level", level, "message", text, "last", n == maxLines)
}

func (l *pionLog) enabled() bool {
	return l.factory.log.Enabled(context.Background(), slog.LevelDebug)
}

func (l *pionLog) writef(level, format string, args []any) {
	if l.enabled() {
		l.write(level, fmt.Sprintf(format, args...))
	}
}

func (l *pionLog) Trace(string)                     {}
func (l *pionLog) Debug(string)                     {}
func (l *pionLog) Debugf(string, ...any)            {}
func (l *pionLog) Info(msg string)                  { l.write("info", msg) }
func (l *pionLog) Infof(format string, args ...any) { l.writef("info", format, args) }
func (l *pionLog) Warn(msg string)                  { l.write("warn", msg) }
func (l *pionLog) Warnf(format string, args ...any) { l.writef("warn", format, args) }
func (l *pionLog) Error(msg string)                 { l.write("error", msg) }

// Errorf leaves out the line that pion writes for every SSRC: because of fixedOffer it knows none of them.
func (l *pionLog) Errorf(format string, args ...any) {
	if !strings.HasPrefix(format, "Incoming unhandled RTP ssrc") {
		l.writef("error", format, args)
	}
}
