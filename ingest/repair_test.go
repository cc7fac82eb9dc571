package ingest

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"siaran"
)

// events are what is still to happen, by time.
type events []event

type event struct {
	at time.Time
	do func()
}

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// lossyPath is the way between a broadcaster and us, without a network: the clock is the bench's.
type lossyPath struct {
	*bench
	random        *rand.Rand
	loss          float64 // of 1, each way
	delay, jitter time.Duration
	independent   bool // every packet has its own jitter, and overtakes others
	rtx           bool // repairs go by RTX
	patient       bool // like libwebrtc, a packet is not sent again within a round trip

	queue      events
	latest     [2]time.Time
	sent       []rtp.Packet
	resent     map[uint16]time.Time
	rtxNumber  uint16
	handed     int64
	lastHanded time.Time
	longest    time.Duration // without anything new
}

// carry brings what is sent now to the other end, or loses it. Way 0 leads to us.
func (l *lossyPath) carry(way int, do func()) {
	if l.random.Float64() < l.loss {
		return
	}
	at := l.now.Add(l.delay + time.Duration(l.random.Float64()*float64(l.jitter)))
	if !l.independent {
		if at.Before(l.latest[way]) {
			at = l.latest[way]
		}
		l.latest[way] = at
		if l.random.Float64() < 0.02 {
			at = at.Add(15 * time.Millisecond)
		}
	}
	heap.Push(&l.queue, event{at, do})
}

func (l *lossyPath) send(p *rtp.Packet) {
	l.carry(0, func() { l.take(p) })
}

// answer is what the broadcaster does with our feedback.
func (l *lossyPath) answer(said []rtcp.Packet) {
	for _, p := range said {
		nack, ok := p.(*rtcp.TransportLayerNack)
		if !ok {
			continue
		}
		for _, pair := range nack.Nacks {
			for _, number := range pair.PacketList() {
				l.resend(number)
			}
		}
	}
}

func (l *lossyPath) resend(number uint16) {
	if last, again := l.resent[number]; again && l.patient && l.now.Sub(last) < 2*l.delay+l.jitter {
		return
	}
	l.resent[number] = l.now
	p := l.sent[number]
	if l.rtx {
		l.rtxNumber++
		p = *repairOf(firefoxRepair, l.rtxNumber, &p)
	}
	l.send(&p)
}

// run sends frames of two packets, 30 a second, and lets the session work as its goroutine would.
func (l *lossyPath) run(packets int) {
	layer := l.publication.Writer(siaran.KindVideo, "").Layer()
	l.resent = make(map[uint16]time.Time)
	begun := l.now
	for n := range packets {
		p := video(firefoxVideo, uint16(n), uint32(n/2)*3000, n)
		p.Marker = n%2 == 1
		if n == 0 {
			l.take(p) // what comes before the first key frame is not what this is about
		}
		l.sent = append(l.sent, *p)
		heap.Push(&l.queue, event{begun.Add(time.Duration(n/2) * 33 * time.Millisecond), func() { l.send(p) }})
	}
	for at := begun; at.Before(begun.Add(time.Duration(packets/2) * 33 * time.Millisecond)); at = at.Add(2 * time.Second) {
		rtt := 2*l.delay + time.Duration((l.random.Float64()+l.random.Float64())*float64(l.jitter))
		heap.Push(&l.queue, event{at, func() { l.receiver.observeRTT(rtt) }})
	}
	var next time.Time // of the session's goroutine
	for len(l.queue) > 0 {
		e := heap.Pop(&l.queue).(event)
		for !next.IsZero() && next.Before(e.at) {
			l.now = next
			next = l.work()
		}
		l.now = e.at
		e.do()
		select {
		case <-l.wake:
			next = l.work()
		default:
		}
		if head := layer.Head(); head > l.handed {
			if !l.lastHanded.IsZero() {
				l.longest = max(l.longest, l.now.Sub(l.lastHanded))
			}
			l.handed, l.lastHanded = head, l.now
		}
	}
}

func (l *lossyPath) work() time.Time {
	said, waiting := l.receiver.dueFeedback(l.now, &l.times)
	if len(said) > 0 {
		l.carry(1, func() { l.answer(said) })
	}
	if waiting {
		return l.now.Add(tickWaiting)
	}
	return l.now.Add(tickUsual)
}

// TestRepairOnABadPath loses 5 % of the packets, of the requests and of the repairs, and viewers lose nothing.
func TestRepairOnABadPath(t *testing.T) {
	const packets = 6_000
	for _, c := range []struct {
		delay       time.Duration // each way
		independent bool
		sender      string
		longest     time.Duration
	}{
		{5 * time.Millisecond, true, "rtx", 200 * time.Millisecond},
		{30 * time.Millisecond, false, "rtx", 350 * time.Millisecond},
		{30 * time.Millisecond, true, "rtx", 350 * time.Millisecond},
		{30 * time.Millisecond, true, "same", 350 * time.Millisecond},
		{30 * time.Millisecond, false, "patient", 350 * time.Millisecond},
		{75 * time.Millisecond, false, "rtx", 700 * time.Millisecond},
		{120 * time.Millisecond, true, "rtx", 900 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v/independent=%v/%s", c.delay, c.independent, c.sender), func(t *testing.T) {
			offer := readOffer(t, "whip-firefox")
			if c.sender == "same" {
				offer = strings.ReplaceAll(offer, "rtx/90000", "unknown/90000")
			}
			l := &lossyPath{
				bench: newBench(t, offer), random: rand.New(rand.NewPCG(1, uint64(c.delay))),
				loss: 0.05, delay: c.delay, jitter: 10 * time.Millisecond, independent: c.independent,
				rtx: c.sender != "same", patient: c.sender == "patient",
			}
			l.run(packets)
			h := l.receiver.health(l.now)[0]
			if h.Lost > 0 || l.longest > c.longest || h.Asked > packets/5 {
				t.Errorf("%d lost; %d asked for; nothing new for up to %v", h.Lost, h.Asked, l.longest)
			}
		})
	}
}

func TestLossAsksForKeyframe(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	b.take(video(firefoxVideo, 1, 0, 0))
	b.take(video(firefoxVideo, 2, 3000, 1))
	b.take(video(firefoxVideo, 4, 9000, 3))
	b.pass(minWait / 2)
	select {
	case <-b.publication.KeyframeRequests():
		t.Fatal("a key frame was asked for while the packet may still come")
	default:
	}
	b.pass(maxWait)
	<-b.publication.KeyframeRequests()
	if out, _ := b.receiver.dueKeyframeRequests(b.now, true); pictureLosses(out) != 1 {
		t.Errorf("said %v", out)
	}
	b.pass(time.Second)
	if out, _ := b.receiver.dueKeyframeRequests(b.now, true); pictureLosses(out) != 0 {
		t.Errorf("asked again after one loss: %v", out)
	}
}

// TestMuteBroadcasterIsNotWaitedFor: a broadcaster that agrees to send again and never does costs its viewers a long
// wait a few times only, and is trusted again when something comes.
func TestMuteBroadcasterIsNotWaitedFor(t *testing.T) {
	b := newBench(t, readOffer(t, "whip-firefox"))
	layer := b.publication.Writer(siaran.KindVideo, "").Layer()
	n := 0
	lose := func() (waited time.Duration) {
		n++ // this one is lost
		n++
		b.take(video(firefoxVideo, uint16(n), uint32(n)*3000, n))
		before := layer.Head()
		for layer.Head() == before {
			b.pass(tickWaiting)
			waited += tickWaiting
		}
		return waited
	}
	b.take(video(firefoxVideo, 0, 0, 0))
	if first := lose(); first < minWait {
		t.Errorf("the first loss is waited for for %v", first)
	}
	for range maxUnanswered {
		lose()
	}
	if last := lose(); last > waitWithoutNACK+2*tickWaiting {
		t.Errorf("the last loss is waited for for %v", last)
	}
	b.take(video(firefoxVideo, uint16(n-1), uint32(n-1)*3000, n-1)) // too late, but an answer
	if again := lose(); again < minWait {
		t.Errorf("after an answer a loss is waited for for %v", again)
	}
}
