package ingest

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/sdp"
)

const (
	decisionTime = 300 * time.Millisecond // from the first packet on, for all sections to show their codecs
	maxHeld      = 2048                   // packets until then; 2 MB
)

// pullStart looks at the first packets of a pull. They show which of the codecs that were agreed on comes; then the
// broadcast begins, or goes on, with these packets. Its methods are called by the transport's goroutine, except giveUp.
type pullStart struct {
	session   *session
	answer    *sdp.Offer
	agreed    []agreement
	origin    siaran.Origin
	published chan struct{} // closed when err or the session's publication is set

	mu   sync.Mutex
	over bool
	err  error

	began    bool // published without an error
	first    time.Time
	held     [][]byte
	chosen   []*choice // as agreed; nil: not seen yet
	stranger int       // payload type of a packet that was not agreed on, -1: none has come
}

func newPullStart(s *session, answer *sdp.Offer, agreed []agreement, origin siaran.Origin) *pullStart {
	p := &pullStart{
		session: s, answer: answer, agreed: agreed, origin: origin,
		published: make(chan struct{}), chosen: make([]*choice, len(agreed)), stranger: -1,
	}
	for i, a := range agreed {
		if len(a) == 1 {
			p.chosen[i] = &a[0]
		}
	}
	return p
}

// rtp takes a decrypted packet.
func (p *pullStart) rtp(data []byte, now time.Time) {
	if !p.began && !p.begin(data, now) {
		return
	}
	p.session.receiver.rtp(data, now)
}

// begin reports whether the broadcast has begun, or begins with this packet.
func (p *pullStart) begin(data []byte, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || !p.look(data) {
		return false
	}
	if p.first.IsZero() {
		p.first = now
	}
	if slices.Contains(p.chosen, nil) && now.Sub(p.first) < decisionTime && len(p.held) < maxHeld {
		p.held = append(p.held, slices.Clone(data))
		return false
	}
	p.over = true
	defer close(p.published)
	chosen := make([]choice, len(p.agreed))
	for i, c := range p.chosen {
		if c == nil { // it sends none of them, or later
			c = &p.agreed[i][0]
		}
		chosen[i] = *c
	}
	specs := tracksOf(chosen)
	s := p.session
	s.publication, p.err = s.server.hub.PublishFrom(s.info.Stream, s.info.Owner, specs, p.origin)
	if p.err != nil {
		return false
	}
	s.receiver.attach(p.answer, chosen, s.publication)
	for _, earlier := range p.held {
		s.receiver.rtp(earlier, now)
	}
	p.held, p.began = nil, true
	return true
}

// tracksOf are the tracks that sections bring: those of video are the layers of one.
func tracksOf(chosen []choice) (specs []siaran.TrackSpec) {
	for i := range chosen {
		spec := chosen[i].spec()
		if n := len(specs); n > 0 && specs[n-1].Codec.Name.Kind() == spec.Codec.Name.Kind() {
			specs[n-1].RIDs = append(specs[n-1].RIDs, spec.RIDs...)
			continue
		}
		specs = append(specs, spec)
	}
	return specs
}

// look notes which codec a packet shows, and reports whether it shows one.
func (p *pullStart) look(data []byte) bool {
	var h rtp.Header
	n, err := h.Unmarshal(data)
	if err != nil || n >= len(data) {
		return false
	}
	for i, a := range p.agreed {
		for j := range a {
			if a[j].codec.PayloadType == h.PayloadType {
				if p.chosen[i] == nil {
					p.chosen[i] = &a[j]
				}
				return true
			}
		}
	}
	p.stranger = int(h.PayloadType)
	return false
}

// giveUp makes sure that nothing begins any more. It returns the payload type of a packet that was not agreed on, or
// -1.
func (p *pullStart) giveUp() (stranger int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	return p.stranger
}
