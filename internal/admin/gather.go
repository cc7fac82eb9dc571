package admin

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// freshFor is how long what was gathered is the answer to others too.
const freshFor = time.Second

// sharedGatherer gathers once for all who ask within a second, however many they are.
type sharedGatherer struct {
	from prometheus.Gatherer

	mu  sync.Mutex
	at  time.Time
	all []*dto.MetricFamily // never changed
	err error
}

func shared(from prometheus.Gatherer) *sharedGatherer { return &sharedGatherer{from: from} }

// Gather implements prometheus.Gatherer.
func (g *sharedGatherer) Gather() ([]*dto.MetricFamily, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.at.IsZero() || time.Since(g.at) >= freshFor {
		g.all, g.err = g.from.Gather()
		g.at = time.Now()
	}
	return g.all, g.err
}
