package server

import (
	"context"
	"fmt"
	"time"

	"siaran"
	"siaran/internal/load"
)

// LoadConfig says how busy the server may be.
type LoadConfig struct {
	MaxLoad   int     `name:"max-load" default:"80" placeholder:"PERCENT"`
	MaxEgress Bitrate `name:"max-egress" placeholder:"BITS"`
}

func (c LoadConfig) check() error {
	if c.MaxLoad < 0 || c.MaxLoad > 99 {
		return fmt.Errorf("--max-load %d: give 1 to 99 percent, or 0 to measure nothing", c.MaxLoad)
	}
	return nil
}

func (c LoadConfig) marks() load.Marks {
	return load.Marks{Processor: float64(c.MaxLoad) / 100, Bits: int(c.MaxEgress)}
}

// measureLoad begins to measure how busy the server is.
func (s *server) measureLoad() {
	s.background(func(ctx context.Context) { s.busy.Run(ctx, s.work, s.reporter.Hasten) })
}

// work is what the server has done so far.
func (s *server) work() load.Reading {
	w, sent := s.egress.Work(), s.socket.Stats().Sent
	return load.Reading{
		At: time.Now(), Processor: load.Used(), Processors: load.Processors(),
		Workers: w.Workers, Behind: w.Behind, Media: w.Busy,
		Packets: w.Packets, Bytes: w.Bytes, Datagrams: sent.Datagrams, Stuck: sent.Stuck,
	}
}

// load is what the lease says of this server.
func (s *server) load(n *siaran.Node) {
	if e := s.viewers.Load(); e != nil {
		n.Viewers = e.Load()
	}
	if n.Capacity > 0 {
		n.Capacity = int(s.maxViewers.Load())
	}
	n.Use, n.Draining = s.busy.State().Use, s.Draining()
}
