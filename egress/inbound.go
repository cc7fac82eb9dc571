package egress

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/srtp/v3"
)

const (
	// How much genuine RTCP a link takes: on average one datagram each interval. A viewer with heavy loss sends 70 a
	// second.
	reportsInterval = 5 * time.Millisecond
	reportsBurst    = 64
	// maxReportSources is how many SSRCs a viewer may send reports with. A browser has two or three. The SRTP context
	// keeps state for each.
	maxReportSources = 16
)

var errForged = errors.New("srtcp: not the viewer's")

// inbound opens the SRTCP datagrams of a viewer (RFC 3711 section 3.4). Any goroutine may use it.
type inbound struct {
	mu      sync.Mutex
	context *srtp.Context // nil until the handshake is over
	known   []uint32      // SSRCs of genuine datagrams
}

// use makes the keys of the handshake count.
func (i *inbound) use(context *srtp.Context) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.context = context
}

// open authenticates and decrypts a datagram. The result is the caller's.
func (i *inbound) open(sealed []byte) ([]byte, error) {
	if len(sealed) < 8 {
		return nil, errForged
	}
	ssrc := binary.BigEndian.Uint32(sealed[4:])
	i.mu.Lock()
	defer i.mu.Unlock()
	known := slices.Contains(i.known, ssrc)
	if i.context == nil || !known && len(i.known) == maxReportSources {
		return nil, errForged
	}
	plain, err := i.context.DecryptRTCP(nil, sealed, nil)
	if err != nil {
		return nil, err
	}
	if !known {
		i.known = append(i.known, ssrc)
	}
	return plain, nil
}

// handleRTCP takes an SRTCP datagram. It is authenticated before it is counted: what others send from a forged address
// must not use up what the viewer may send. It costs the port's reader about as much again as receiving it, whatever
// it is, and nobody else anything.
//
// A report is not consent, as a client with the session's keys can send it from anywhere. It shows which of its proven
// paths the viewer uses.
func (l *link) handleRTCP(b []byte, from netip.AddrPort, local netip.Addr, now time.Time) {
	plain, err := l.in.open(b)
	if err != nil {
		l.drops.forged.Add(1)
		return
	}
	if !l.reports.take(now) {
		l.drops.reports.Add(1)
		return
	}
	l.finished.Store(true)
	s := l.selected.Load()
	if s == nil || s.path.Address() != from || s.path.Local() != local {
		l.mu.Lock()
		s = l.at(from, local)
		l.mu.Unlock()
	}
	l.speaks(s, now)
	l.events.report(plain)
}
