package egress

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"siaran/internal/monotonic"
	"siaran/mediaport"

	"github.com/pion/stun/v3"
)

const (
	firstRepeat = 100 * time.Millisecond // until a question is repeated; each further wait is twice as long
	maxRepeats  = 5                      // after which only a new check of the source makes a new question
	// The priority of a peer-reflexive candidate (RFC 8445 section 5.1.2.1).
	questionPriority = 110<<24 | 65535<<8 | 255
)

// question is a Binding request of ours. It asks a source to prove itself, and asks the selected source whether it
// still consents (RFC 7675 section 5.1).
type question struct {
	id    mediaport.TransactionID
	open  bool      // asked and not answered
	tries int       // how often it was sent with this id
	next  time.Time // when to ask or to repeat; zero: not before a new check
}

// consentInterval is the time until consent is checked again: 4 to 6 s (RFC 7675 section 5.1).
func consentInterval() time.Duration { return 4*time.Second + rand.N(2*time.Second) }

// ask asks a source, or repeats the question that is open. The caller holds l.mu.
func (l *link) ask(s *source, now time.Time) {
	q := &s.question
	if q.open && q.tries < maxRepeats && !s.trusted(now) {
		if now.Before(q.next) {
			return
		}
	} else {
		l.forgetQuestion(s)
		*q = question{id: stun.NewTransactionID(), open: true, next: q.next}
		l.endpoint.Expect(q.id)
	}
	text := l.questionText(q.id, s.ice)
	if text == nil || !s.pays(len(text), 0) {
		q.next = now.Add(firstRepeat)
		l.due.Store(0)
		return
	}
	if s.trusted(now) {
		q.next = now.Add(consentInterval())
	} else {
		q.next = now.Add(firstRepeat << q.tries)
	}
	q.tries++
	if q.tries == maxRepeats && !s.trusted(now) {
		q.next = time.Time{}
	}
	l.due.Store(0)
	l.transmit(text, s.path)
}

// questionText is a Binding request to the viewer (RFC 8445 section 7.1). It tries no candidate, so the viewer's agent
// stays the controlling one.
func (l *link) questionText(id mediaport.TransactionID, ice *credentials) []byte {
	var priority [4]byte
	binary.BigEndian.PutUint32(priority[:], questionPriority)
	m, err := stun.Build(
		stun.NewTransactionIDSetter(id), stun.BindingRequest, stun.NewUsername(ice.remoteUfrag+":"+ice.ufrag),
		attribute{stun.AttrPriority, priority[:]}, attribute{stun.AttrICEControlled, l.tie[:]},
		ice.remoteIntegrity, stun.Fingerprint)
	if err != nil {
		return nil
	}
	return m.Raw
}

// attribute is a STUN attribute in its wire format.
type attribute struct {
	kind  stun.AttrType
	value []byte
}

// AddTo implements stun.Setter.
func (a attribute) AddTo(m *stun.Message) error {
	m.Add(a.kind, a.value)
	return nil
}

// forgetQuestion takes a source's question back, if it is open. The caller holds l.mu.
func (l *link) forgetQuestion(s *source) {
	if s.question.open {
		l.endpoint.Forget(s.question.id)
	}
}

// HandleAnswer implements mediaport.Handler. It takes the answers to our questions.
func (l *link) HandleAnswer(b []byte, from netip.AddrPort, _ netip.Addr) {
	ice := l.askedWith(mediaport.TransactionID(b[8:20]))
	if ice == nil {
		return
	}
	m, right := genuine(b, ice.remoteIntegrity)
	if !right || m.Type != stun.BindingSuccess {
		return
	}
	now := time.Now()
	if s := l.prove(m.TransactionID, from, now); s != nil {
		s.Bind(now)
	}
}

// prove takes the answer to a question and returns the source that it proves, or nil.
func (l *link) prove(id mediaport.TransactionID, from netip.AddrPort, now time.Time) *source {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.asked(id)
	if l.closed || s == nil {
		return nil
	}
	l.forgetQuestion(s)
	s.question = question{}
	l.due.Store(0)
	if s.path.Address() != from { // the question was answered from elsewhere (RFC 8445 section 7.2.5.2.1)
		return nil
	}
	s.Prove(now)
	s.Hear(now)
	if s == l.selected.Load() {
		s.question.next = now.Add(consentInterval())
	}
	l.consider(s, now)
	return s
}

// askedWith is the ICE session of the open question with this id, or nil.
func (l *link) askedWith(id mediaport.TransactionID) *credentials {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.asked(id); s != nil {
		return s.ice
	}
	return nil
}

// asked is the source whose open question has this id, or nil. The caller holds l.mu.
func (l *link) asked(id mediaport.TransactionID) *source {
	for _, s := range l.sources {
		if s.question.open && s.question.id == id {
			return s
		}
	}
	return nil
}

// attend asks the questions that are due. It is called about every 100 ms: by the goroutine that connects the session,
// then by the worker.
func (l *link) attend(now time.Time) {
	if monotonic.Nanos(now) < l.due.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	next := now.Add(time.Minute)
	for _, s := range l.sources {
		q := &s.question
		if !q.next.IsZero() && !now.Before(q.next) {
			l.ask(s, now)
		}
		if !q.next.IsZero() && q.next.Before(next) {
			next = q.next
		}
	}
	l.due.Store(monotonic.Nanos(next))
}
