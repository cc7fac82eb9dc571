package ingest

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"siaran"
	"siaran/internal/netaddr"
	"siaran/mediaport"
)

// Config is what a Server needs. Port, Addresses and Certificate must be given.
type Config struct {
	// Port carries the media of broadcasters. The caller closes it after the server.
	Port *mediaport.Socket

	// Addresses returns the host candidates to be announced, best first, because some clients use only that one. It is
	// called for every session.
	Addresses func() []netip.AddrPort

	// TCP accepts the connections of broadcasters whose network blocks UDP (RFC 6544); nil for none. The server closes
	// it. TCPAddresses returns its addresses, announced after the others; it is called for every session.
	TCP          net.Listener
	TCPAddresses func() []netip.AddrPort

	Certificate   *tls.Certificate // ECDSA P-256; used until UseCertificate
	SetupTimeout  time.Duration    // this and the next five: see Limits
	MaxSessions   int
	Share         netaddr.Share
	MaxBitrate    int
	MaxPacketRate int
	MaxLayers     int

	// Moves is about broadcasters who come here from another server; nil: a stream that comes from another server cannot
	// be published here.
	Moves Moves

	Logger *slog.Logger // slog's default when nil

	firstCheck time.Duration // for a TCP connection to identify its session; 5 s when zero, shorter in tests

	consent time.Duration // without a sign of life before the session ends; 30 s when zero, shorter in tests
	absence time.Duration // the same for the parent of a pull; parentSilence when zero, longer in most tests
}

// Moves knows broadcasts that are live on other servers.
type Moves interface {
	// Origin returns how a stream's broadcast goes on here if its owner comes with it from another server, and whether
	// the owner may have another broadcaster there who is sending. It is the zero Origin for a broadcast that begins
	// here. It fails with ErrStreamTaken if somebody else has the stream there, and with ErrContested.
	Origin(stream siaran.StreamName, owner string) (origin siaran.Origin, contested bool, err error)
	// LetGo ends the pull of a stream, if there is one, but not its broadcast.
	LetGo(stream siaran.StreamName)
}

// Limits bound what broadcasters get.
type Limits struct {
	SetupTimeout time.Duration // to connect, and then to send media; 15 s when zero
	MaxSessions  int           // 100 when zero
	Share        netaddr.Share // of the sessions, for one source; with fewer than 32 sessions, of 32
	MaxBitrate   int           // bits per second of one broadcast, headers included; unbounded when zero
	MaxLayers    int           // simulcast layers of one broadcast; 3 when zero
	// Packets per second of one broadcast, of all layers and kinds; unbounded when zero.
	MaxPacketRate int
}

func (l Limits) filled() *Limits {
	l.SetupTimeout = cmp.Or(l.SetupTimeout, 15*time.Second)
	l.MaxSessions = cmp.Or(l.MaxSessions, 100)
	l.MaxLayers = cmp.Or(l.MaxLayers, 3)
	return &l
}

func (c *Config) validate() error {
	switch {
	case c.Port == nil || c.Addresses == nil || c.Certificate == nil:
		return errors.New("ingest: Port, Addresses and Certificate must be given")
	case c.TCP != nil && c.TCPAddresses == nil:
		return errors.New("ingest: TCPAddresses must be given with TCP")
	case c.SetupTimeout < 0 || c.MaxSessions < 0 || c.MaxBitrate < 0 || c.MaxPacketRate < 0 || c.MaxLayers < 0:
		return errors.New("ingest: SetupTimeout, MaxSessions, MaxBitrate, MaxPacketRate and MaxLayers must not be negative")
	}
	return nil
}

// settingUp bounds the sessions that have not connected yet, so that they leave room for those that do.
func (l *Limits) settingUp() int { return min(l.MaxSessions, max(8, l.MaxSessions/4)) }
