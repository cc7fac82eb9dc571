package ingest

import (
	"encoding/binary"
	"math"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

const (
	audienceName   = "SIRN"
	audienceChange = time.Second     // the least between two reports
	audienceRepeat = 5 * time.Second // of the same numbers, as a report may be lost
)

// audience is what a pull tells its parent: an RTCP APP packet (RFC 3550 section 6.7) with 32 bits for the viewers
// below it now, and 64 for how many have joined since the session began.
type audience struct {
	mu      sync.Mutex
	known   bool // there is something to tell
	changed bool
	viewers uint32
	joins   uint64
	told    time.Time
}

func (a *audience) set(viewers int, joins uint64) {
	now := uint32(min(max(int64(viewers), 0), math.MaxUint32))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed = a.changed || !a.known || now != a.viewers || joins != a.joins
	a.known, a.viewers, a.joins = true, now, joins
}

// due returns the report that is to be sent now, if any.
func (a *audience) due(now time.Time, ssrc uint32) []rtcp.Packet {
	a.mu.Lock()
	defer a.mu.Unlock()
	wait := audienceRepeat
	if a.changed {
		wait = audienceChange
	}
	if !a.known || now.Sub(a.told) < wait {
		return nil
	}
	a.changed, a.told = false, now
	data := binary.BigEndian.AppendUint32(nil, a.viewers)
	data = binary.BigEndian.AppendUint64(data, a.joins)
	return []rtcp.Packet{&rtcp.ApplicationDefined{SSRC: ssrc, Name: audienceName, Data: data}}
}
