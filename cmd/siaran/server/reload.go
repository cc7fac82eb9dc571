package server

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"siaran/egress"
	"siaran/ingest"
	"siaran/internal/netaddr"
	"siaran/web"
	"siaran/web/access"
)

// Reload is how the settings are read again on SIGHUP.
type Reload struct {
	Read  func() (Config, error) // as at the start; nil: they stay as they are
	Level *slog.LevelVar         // of the logger; may be nil
}

// adjustable are the settings that can be changed while the server runs. Each holds for sessions and requests that
// come later; nobody who is there is sent away.
var adjustable = map[string]bool{
	"allow-origin": true, "grace": true, "hsts": true, "keep-viewers": true, "lax-trickle": true, "log-level": true,
	"max-bitrate": true, "max-broadcasts": true, "max-broadcasts-per-owner": true, "max-children": true,
	"max-egress": true, "max-layers": true, "max-load": true, "max-packet-rate": true, "max-viewers": true,
	"max-viewers-per-stream": true, "ring-memory": true,
	"setup-timeout": true, "source-share": true, "strict-session-auth": true,
}

// secretSetting is adjustable as well, as long as the secret stays one that servers share.
const secretSetting = "secret-file"

// runReload reads the settings and the secrets again on each SIGHUP, until ctx ends. Certificates look after
// themselves.
func (s *server) runReload(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			s.reload()
		}
	}
}

// reload applies what has changed, or nothing if anything is wrong.
func (s *server) reload() {
	next, err := s.reread()
	if err != nil {
		s.logger.Error("SIGHUP: the settings stay as they are, because the new ones cannot be used", "error", err)
		return
	}
	secret, err := s.secretOf(next)
	if err != nil {
		s.logger.Error("SIGHUP: the settings stay as they are, because the secret cannot be used", "error", err)
		return
	}
	now := s.current
	var applied, later []string
	for _, name := range differences(now, next) {
		if adjustable[name] || name == secretSetting && now.shares() && next.shares() {
			applied = append(applied, name)
		} else {
			later = append(later, name)
		}
	}
	s.adjust(next)
	rekeyed := secret != nil && s.secret.Become(secret)
	s.current = merged(now, next, applied)
	for _, name := range applied {
		s.logger.Info("SIGHUP: setting applied", "setting", name)
	}
	for _, name := range later {
		s.logger.Warn("SIGHUP: this setting has changed, and needs a restart", "setting", name)
	}
	if rekeyed {
		s.logger.Info("SIGHUP: a new secret is in use")
	}
	if len(applied)+len(later) == 0 && !rekeyed {
		s.logger.Info("SIGHUP: the settings have not changed")
	}
}

func (s *server) reread() (Config, error) {
	if s.again.Read == nil {
		return s.current, nil
	}
	next, err := s.again.Read()
	if err != nil {
		return next, err
	}
	return next.Checked()
}

// secretOf reads the secret again. It is nil if it is to stay until a restart.
func (s *server) secretOf(next Config) (*access.Secret, error) {
	if s.current.shares() != next.shares() {
		return nil, nil
	}
	if !next.shares() {
		next.Data = s.current.Data // where it is until a restart
	}
	return next.rereadSecret()
}

// adjust applies the adjustable settings.
func (s *server) adjust(c Config) {
	if s.again.Level != nil {
		s.again.Level.Set(c.LogLevel)
	}
	s.hub.SetGrace(c.Grace)
	s.hub.KeepViewers(c.KeepViewers)
	s.hub.LimitMemory(int64(c.RingMemory))
	s.ingest.SetLimits(c.ingestLimits())
	s.egress.SetLimits(c.egressLimits())
	s.busy.SetMarks(c.marks())
	s.maxViewers.Store(int64(c.MaxViewers))
	s.reporter.Hasten()
	s.web.Adjust(web.Settings{
		AllowedOrigins: c.AllowOrigin, HSTS: c.HSTS, StrictSessionAuth: c.StrictSessionAuth, LaxTrickle: c.LaxTrickle,
		Broadcasts: c.PerOwner, Viewers: c.StreamViewers, Share: netaddr.Share(c.SourceShare),
	})
	if s.door != nil {
		s.door.SetLimits(c.connections(), netaddr.Share(c.SourceShare))
	}
}

func (c Config) ingestLimits() ingest.Limits {
	return ingest.Limits{
		SetupTimeout: c.SetupTimeout, MaxSessions: c.MaxBroadcasts, Share: netaddr.Share(c.SourceShare),
		MaxBitrate: int(c.MaxBitrate), MaxPacketRate: c.MaxPacketRate, MaxLayers: c.MaxLayers,
	}
}

func (c Config) egressLimits() egress.Limits {
	return egress.Limits{
		SetupTimeout: c.SetupTimeout, MaxSessions: c.MaxViewers, Share: netaddr.Share(c.SourceShare),
		MaxChildren: c.MaxChildren,
	}
}

// connections is how many connections the HTTP port accepts.
func (c Config) connections() int { return 4*c.MaxViewers + 1024 }

// differences returns the flags of all settings in which two configurations differ, in alphabetical order.
func differences(a, b Config) []string {
	mine, other := settingsOf(a), settingsOf(b)
	var names []string
	for name := range mine {
		if !reflect.DeepEqual(mine[name].Interface(), other[name].Interface()) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// merged returns now with those settings of next.
func merged(now, next Config, names []string) Config {
	to, from := fieldsOf(reflect.ValueOf(&now).Elem()), settingsOf(next)
	for _, name := range names {
		to[name].Set(from[name])
	}
	return now
}

func settingsOf(c Config) map[string]reflect.Value { return fieldsOf(reflect.ValueOf(c)) }

// fieldsOf returns the fields of a configuration by their flags.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	all := make(map[string]reflect.Value)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			maps.Copy(all, fieldsOf(v.Field(i)))
			continue
		}
		if !field.IsExported() || field.Tag.Get("kong") == "-" { // they have no flag
			continue
		}
		name := field.Tag.Get("name")
		if name == "" {
			name = flagOf(field.Name)
		}
		all[name] = v.Field(i)
	}
	return all
}

// flagOf is how kong names the flag of a field.
func flagOf(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
