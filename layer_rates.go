package siaran

import (
	"slices"
	"sync/atomic"
	"time"
)

const (
	rateTime = time.Second     // over which the rates of a layer's parts are measured
	ratesFor = 5 * time.Second // for which the newest measurement counts
	leastSum = 200             // bytes a second below which a part that has stopped is taken for gone
)

// LayerRates are bytes of payload a second, by spatial and temporal layer; 0 for a layer that has not been sent of
// late.
type LayerRates [MaxSpatial][MaxTemporal]int

// parts measures the layers within one encoding.
type parts struct {
	rates [MaxSpatial][MaxTemporal]atomic.Int64
	at    atomic.Int64 // when they were last measured, in nanoseconds after epoch; 0 for never

	// guarded by Layer.mu
	since time.Time // the beginning of the present measurement
	bytes [MaxSpatial][MaxTemporal]int64
}

// count takes a packet whose place is within the bounds.
func (m *parts) count(p *Packet) {
	passed := p.Arrival.Sub(m.since)
	if m.since.IsZero() || passed >= rateTime {
		m.measure(passed)
		m.since = p.Arrival
	}
	m.bytes[p.Spatial][p.Temporal] += int64(len(p.Payload))
}

// measure ends a measurement. The rates are smoothed, because frames differ in size; but a new layer counts in full.
func (m *parts) measure(passed time.Duration) {
	if !m.since.IsZero() {
		for s := range m.bytes {
			for t := range m.bytes[s] {
				rate, before := int64(float64(m.bytes[s][t])/passed.Seconds()), m.rates[s][t].Load()
				if before > 0 {
					rate = (rate + before) / 2
				}
				if m.bytes[s][t] == 0 && rate < leastSum {
					rate = 0
				}
				m.rates[s][t].Store(rate)
			}
		}
		m.at.Store(int64(m.since.Add(passed).Sub(epoch)))
	}
	m.bytes = [MaxSpatial][MaxTemporal]int64{}
}

// pause ends a measurement that is not complete.
func (m *parts) pause() {
	m.since, m.bytes = time.Time{}, [MaxSpatial][MaxTemporal]int64{}
}

// Rates are the rates of the layers within this one over the last seconds; all of them are 0 during the first second,
// and when nothing has come for some seconds, unless the layer rests.
func (l *Layer) Rates() (rates LayerRates) {
	at := l.parts.at.Load()
	if at == 0 || time.Since(epoch.Add(time.Duration(at))) > ratesFor && !l.Resting() {
		return rates
	}
	for s := range rates {
		for t := range rates[s] {
			rates[s][t] = int(l.parts.rates[s][t].Load())
		}
	}
	return rates
}

// Whole are the rates of a layer that goes out whole.
func (r LayerRates) Whole() (whole LayerRates) {
	for _, spatial := range r {
		for _, rate := range spatial {
			whole[0][0] += rate
		}
	}
	return whole
}

// SpatialSize is the size of a spatial layer's newest key frame in pixels, 0 and 0 when it is not known.
func (l *Layer) SpatialSize(spatial int) (width, height int) {
	if sizes := l.sizes.Load(); sizes != nil && spatial >= 0 && spatial < len(*sizes) {
		return (*sizes)[spatial].Width, (*sizes)[spatial].Height
	}
	if spatial == 0 && l.sizes.Load() == nil {
		return l.Size()
	}
	return 0, 0
}

// sized takes the sizes of spatial layers. A key frame that does not have them belongs to a stream without such layers.
func (l *Layer) sized(frame Frame) {
	sizes := frame.Sizes[:min(len(frame.Sizes), MaxSpatial)]
	switch old := l.sizes.Load(); {
	case len(sizes) == 0 && old != nil:
		l.sizes.Store(nil)
	case len(sizes) > 0 && (old == nil || !slices.Equal(*old, sizes)):
		l.sizes.Store(new(slices.Clone(sizes)))
	}
}
