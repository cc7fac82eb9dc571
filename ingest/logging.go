package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/pion/logging"
)

const maxLines = 200 // of pion, that a session may write; remote bytes provoke most of them

// pionLogs makes the loggers of one session's transport. They write at debug level and not
// without end, and they tell of the remote side's DTLS close_notify, which pion v3 itself keeps to itself.
type pionLogs struct {
	log      *slog.Logger
	hangUp   func() // called once a close_notify has come; must not block
	lines    atomic.Int32
	closings atomic.Bool
}

// NewLogger is part of logging.LoggerFactory.
func (f *pionLogs) NewLogger(scope string) logging.LeveledLogger { return &pionLog{f, scope} }

type pionLog struct {
	factory *pionLogs
	scope   string
}

// Tracef looks for the one line that reports a decrypted alert: "<side>: <- Alert Warning: CloseNotify".
// A test holds pion to it.
func (l *pionLog) Tracef(format string, args ...any) {
	if l.scope != "dtls" || !strings.Contains(format, "<-") {
		return
	}
	if strings.Contains(fmt.Sprintf(format, args...), "CloseNotify") && !l.factory.closings.Swap(true) {
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

func (l *pionLog) Trace(string)                      {}
func (l *pionLog) Debug(string)                      {}
func (l *pionLog) Debugf(string, ...any)             {}
func (l *pionLog) Info(msg string)                   { l.write("info", msg) }
func (l *pionLog) Infof(format string, args ...any)  { l.writef("info", format, args) }
func (l *pionLog) Warn(msg string)                   { l.write("warn", msg) }
func (l *pionLog) Warnf(format string, args ...any)  { l.writef("warn", format, args) }
func (l *pionLog) Error(msg string)                  { l.write("error", msg) }
func (l *pionLog) Errorf(format string, args ...any) { l.writef("error", format, args) }
