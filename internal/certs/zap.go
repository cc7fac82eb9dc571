package certs

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo makes certmagic's logger write into ours. Only someone who looks for a mistake cares about its single steps;
// events report the results.
func zapTo(log *slog.Logger) *zap.Logger { return zap.New(&core{log: log}) }

type core struct {
	log *slog.Logger
}

func (c *core) Enabled(l zapcore.Level) bool { return c.log.Enabled(context.Background(), level(l)) }

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.log.With(attributes(fields)...)}
}

func (c *core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.Log(context.Background(), level(e.Level), "acme: "+e.Message, attributes(fields)...)
	return nil
}

func (c *core) Sync() error { return nil }

func level(l zapcore.Level) slog.Level {
	if l > zapcore.ErrorLevel {
		return slog.LevelError
	}
	return slog.LevelDebug
}

func attributes(fields []zapcore.Field) []any {
	e := zapcore.NewMapObjectEncoder()
	list := make([]any, 0, 2*len(fields))
	for _, f := range fields {
		f.AddTo(e)
	}
	for name, value := range e.Fields {
		list = append(list, name, value)
	}
	return list
}
