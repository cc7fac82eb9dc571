package load

import (
	"math/bits"
	"time"
)

// Cause is why a server takes no further viewers. There are few, so that metrics may count by them.
type Cause string

const (
	Processor Cause = "processor" // this process has used too much of what it may use
	Late      Cause = "late"      // workers get the processor too late, whoever has it
	Network   Cause = "network"   // as much is sent as the operator allows
	Buffers   Cause = "buffers"   // the system takes datagrams more slowly than there are any
)

// Causes are all causes, the more telling first.
var Causes = []Cause{Network, Buffers, Processor, Late}

// Marks are where a server closes. Zero values switch their measurement off.
type Marks struct {
	Processor float64 // share of the processor time that the process may use; for workers and buffers it only is not 0
	Bits      int     // sent in a second, with all headers
}

// Reading is what has been counted since the start.
type Reading struct {
	At               time.Time
	Processor        time.Duration // time that the process has used; 0: unknown
	Processors       float64       // how many it may use
	Workers          int           // that have something to do
	Behind           time.Duration // for how long they have been overdue, together
	Media            time.Duration // that they have spent on media, together
	Packets, Bytes   uint64        // of media
	Datagrams, Stuck uint64        // handed to the system, and those for which it had no room
}

// State is what a server takes.
type State struct {
	Use      float64           // how much is in use of what may be: 1 means that the server is closed to viewers
	Fills    map[Cause]float64 // by what is measured; 1 is the mark
	Viewers  Cause             // why no viewers are taken; empty: they are
	Children Cause             // why no servers that pull are taken
}

const (
	lateShare  = 0.1  // of the time, of a worker on average
	mediaShare = 0.25 // of the processor time used: with less, it is not viewers who fill the server
	stuckShare = 0.01 // of the datagrams in a second

	looks    = 5    // seconds that are looked back at
	badLooks = 3    // of these, bad ones, close
	calmTime = 5    // good seconds in a row, which open again
	good     = 0.9  // of the mark: a second below it is good
	strange  = 0.85 // of the mark, at most, for work that is not for viewers

	smooth  = 5    // seconds over which Use is smoothed
	mostUse = 0.95 // while the server is open
	headers = 44   // bytes of IPv4, UDP and SRTP
	reserve = 0.1  // of what may be sent is for children
	beyond  = 4    // times as late, and as many stuck datagrams, keep children out
)

// gate decides from one reading to the next. It has no clock of its own.
type gate struct {
	last              Reading
	use               float64
	viewers, children door
}

// door is closed after three bad seconds of five, and opened again by five good seconds in a row. So nothing that is
// over within two seconds closes it, and it does not swing faster than that.
type door struct {
	bad    uint8 // the last seconds, one bit each
	calm   int
	closed Cause
}

func (d *door) look(fill float64, cause Cause) {
	d.bad = d.bad << 1 & (1<<looks - 1)
	if fill >= 1 {
		d.bad |= 1
	}
	if d.calm++; fill >= good {
		d.calm = 0
	}
	switch {
	case fill >= 1 && bits.OnesCount8(d.bad) >= badLooks:
		d.closed = cause // the newest one, for whoever asks
	case d.calm >= calmTime:
		d.closed = ""
	}
}

// read takes the next reading.
func (g *gate) read(r Reading, m Marks) State {
	last := g.last
	g.last = r
	took := r.At.Sub(last.At).Seconds()
	if last.At.IsZero() || took <= 0 {
		return State{}
	}
	all, ofChildren := fills(last, r, took, m)
	g.viewers.look(worst(all))
	g.children.look(worst(ofChildren))
	g.use += (max(all[Processor], all[Network]) - g.use) * min(took/smooth, 1)
	s := State{Use: min(g.use, mostUse), Fills: all, Viewers: g.viewers.closed, Children: g.children.closed}
	if s.Viewers != "" {
		s.Use = 1
	}
	return s
}

// fills says how much of each mark is reached: of those for viewers, and of the higher ones for children.
func fills(last, r Reading, took float64, m Marks) (viewers, children map[Cause]float64) {
	viewers, children = make(map[Cause]float64, len(Causes)), make(map[Cause]float64, len(Causes))
	set := func(c Cause, fill, higher float64) { viewers[c], children[c] = fill, fill/higher }
	if m.Processor > 0 {
		if r.Processor > 0 && r.Processors > 0 {
			used := (r.Processor - last.Processor).Seconds()
			fill := used / (took * r.Processors) / m.Processor
			if (r.Media - last.Media).Seconds() < mediaShare*used {
				fill = min(fill, strange)
			}
			set(Processor, fill, (1+m.Processor)/2/m.Processor)
		}
		behind := max(r.Behind-last.Behind, 0).Seconds() / float64(max(r.Workers, 1))
		set(Late, behind/took/lateShare, beyond)
		set(Buffers, part(r.Stuck-last.Stuck, r.Datagrams-last.Datagrams)/stuckShare, beyond)
	}
	if packets := r.Packets - last.Packets; m.Bits > 0 && packets > 0 {
		size := float64(r.Bytes-last.Bytes)/float64(packets) + headers // of repairs too
		sent := 8 * size * float64(r.Datagrams-last.Datagrams) / took
		set(Network, sent/float64(m.Bits)/(1-reserve), 1/(1-reserve))
	}
	return viewers, children
}

func part(n, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func worst(fills map[Cause]float64) (fill float64, cause Cause) {
	for _, c := range Causes {
		if fills[c] > fill {
			fill, cause = fills[c], c
		}
	}
	return fill, cause
}
