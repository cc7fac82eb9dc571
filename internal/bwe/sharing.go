package bwe

const (
	// Others use the bottleneck too if we get less than this share of it while the queue stands.
	alone = 0.75
	// A queue that grows while less than this share of what is sent arrives is ours.
	passes = 0.6
	// The share that is ours. A flow that grows until packets are lost (RFC 5681) fills every queue, and who yields to
	// queues gets nothing beside it. Two such flows would get a half each.
	fairShare = 0.5

	wholeAge = 10 * second
	denial   = 10 * second
)

// sharing is about a queue that others fill. It lasts as long as the queue stands.
type sharing struct {
	since      int64 // 0: there is no sign of others
	raised     bool  // the target, because of the others
	denied     int64 // until then, as that was a mistake
	got        float64
	whole      float64 // what the bottleneck carries; 0: unknown
	wholeSince int64
}

func (s *sharing) measured(whole float64, now int64) { s.whole, s.wholeSince = whole, now }

func (s *sharing) end() { s.since, s.raised = 0, false }

// note takes what we get of the bottleneck and what we send.
func (s *sharing) note(got, sent float64, grows bool, now int64) {
	switch {
	case now < s.denied || s.whole == 0 || now-s.wholeSince > wholeAge:
		s.since = 0
	case got < passes*sent:
		if grows && s.raised {
			s.denied = now + denial
		}
		s.since = 0
	case got > alone*s.whole:
		s.since = 0
	case s.since == 0:
		s.since = now
	}
	s.got = got
}

// fair is what is ours of a bottleneck that others use too, otherwise 0.
func (s *sharing) fair() float64 {
	if s.since == 0 {
		return 0
	}
	return s.whole * fairShare
}

// own is the part of a queue that is ours.
func (s *sharing) own(queue int64) int64 {
	if s.since == 0 {
		return queue
	}
	return int64(float64(queue) * min(s.got/s.whole, 1))
}
