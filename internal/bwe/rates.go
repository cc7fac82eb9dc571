package bwe

import "math"

// stretch is a stretch of packets that waited for each other at the bottleneck, from the one that found it idle.
type stretch struct {
	begun   bool
	bytes   int64 // after the first packet
	time    int64 // from its arrival
	packets int
	widest  int64 // gap between two arrivals
	last    int64 // arrival

	sent                  int64 // the newest packet's
	burstBytes, burstTime int64 // of packets that were sent together with the one before
}

const (
	stretchAge   = 300 * millisecond // after which it is forgotten by half
	stretchTime  = 40 * millisecond
	stretchLeast = 4 // packets

	burstGap   = millisecond // between packets that are sent together
	burstLeast = 3_000       // bytes
	burstTime  = 4 * millisecond
)

func (s *stretch) reset() { *s = stretch{} }

func (s *stretch) add(size int, sent, arrival, base int64) {
	if !s.begun || sent+base >= s.last {
		*s = stretch{begun: true, last: arrival, sent: sent}
		return
	}
	gap := max(0, arrival-s.last)
	if sent-s.sent < burstGap {
		s.burstBytes += int64(size)
		s.burstTime += gap
	}
	s.sent = sent
	s.last += gap
	s.bytes += int64(size)
	s.time += gap
	s.packets++
	s.widest = max(s.widest, gap)
	if s.time > stretchAge {
		s.time, s.bytes, s.widest = s.time/2, s.bytes/2, s.widest/2
		s.burstTime, s.burstBytes = s.burstTime/2, s.burstBytes/2
	}
}

// whole is what the bottleneck carries for all who use it: nobody's packets come between those of a burst.
func (s *stretch) whole() (bits float64, ok bool) {
	if s.burstBytes < burstLeast || s.burstTime < burstTime {
		return 0, false
	}
	return bitrate(s.burstBytes, s.burstTime), true
}

// rate is what the bottleneck carries, in bits a second. A stretch that is one wide gap is a pause of the path, not its
// rate.
func (s *stretch) rate() (bits float64, ok bool) {
	if s.packets < stretchLeast || s.time < stretchTime || s.widest > s.time/2 {
		return 0, false
	}
	return bitrate(s.bytes, s.time), true
}

func bitrate(bytes, time int64) float64 {
	return float64(bytes) * 8 * float64(second) / float64(max(time, millisecond))
}

// meter measures what is delivered.
type meter struct {
	begun              bool
	bytes              int64 // after the first packet
	firstSent, firstIn int64
	sent, in           int64 // the newest packet's
	fresh              bool  // rate has not been taken
	rate               float64
}

const meterWindow = second / 2

func (m *meter) reset() { *m = meter{rate: m.rate} }

func (m *meter) add(size int, sent, arrival int64) {
	if !m.begun || arrival-m.in > second || arrival < m.firstIn {
		m.begun, m.bytes, m.firstSent, m.firstIn, m.sent, m.in = true, 0, sent, arrival, sent, arrival
		return
	}
	m.bytes += int64(size)
	m.sent, m.in = sent, max(m.in, arrival)
	if took := max(m.in-m.firstIn, m.sent-m.firstSent); took >= meterWindow {
		m.rate, m.fresh = bitrate(m.bytes, took), true
		m.bytes, m.firstSent, m.firstIn = 0, sent, m.in
	}
}

// take returns a rate once.
func (m *meter) take() (bits float64, ok bool) {
	ok, m.fresh = m.fresh, false
	return m.rate, ok
}

// lossMeter counts losses over windows.
type lossMeter struct {
	lost, arrived int
	begun         int64
	share         float64 // of the last window
	heavy         bool    // surely
}

const (
	heavyLoss   = 0.1
	heavyAge    = 2 * second // after which nothing is known of it any more
	lossWindow  = second / 2
	lossPackets = 20
)

// window reports whether a window is over.
func (l *lossMeter) window(now int64) bool {
	total := float64(l.lost + l.arrived)
	if now-l.begun < lossWindow || total < lossPackets {
		return false
	}
	l.share = max(float64(l.lost), 0) / total
	// Two standard deviations: of few packets, some more than the share are lost by chance.
	l.heavy = l.share > heavyLoss+2*math.Sqrt(heavyLoss*(1-heavyLoss)/total)
	l.lost, l.arrived, l.begun = 0, 0, now
	return true
}

// isHeavy reports whether much is being lost, as far as is known: windows end only while packets are sent.
func (l *lossMeter) isHeavy(now int64) bool { return l.heavy && now-l.begun < heavyAge }

// sendRate measures what is sent.
type sendRate struct {
	bytes int64
	begun int64
	bits  float64
}

func (r *sendRate) add(now int64, size int) {
	if took := now - r.begun; took >= second/2 {
		r.bits = bitrate(r.bytes, took)
		r.bytes, r.begun = 0, now
	}
	r.bytes += int64(size)
}
