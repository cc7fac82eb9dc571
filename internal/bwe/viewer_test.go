package bwe

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
)

var layers = []int{150_000, 500_000, 2_500_000} // bits a second

const (
	packetSize = 1200
	audioSize  = 160
	audioRate  = 64_000
	audioEvery = 20 * time.Millisecond
	frameEvery = 33 * time.Millisecond
	probeEvery = 4 * time.Millisecond
	headroom   = 1.2
)

// world is a viewer with three layers behind a link, the sender that serves it, and what both know.
type world struct {
	t      testing.TB
	e      *Estimator
	link   *link
	other  *tcp // a competing flow, or nil
	random *rand.Rand
	zero   time.Time
	now    time.Duration

	skew         float64 // of the receiver's clock
	feedbackLoss float64
	mangle       func(b []byte) [][]byte // what becomes of a feedback packet
	blind        bool                    // no feedback
	silent       bool                    // nothing is sent

	layer     int
	held      bool
	key       bool
	extra     int // bytes of padding sent
	media     int // bytes of media sent
	nextFrame time.Duration
	nextAudio time.Duration
	nextProbe time.Duration

	recorder *twcc.Recorder
	arriving []transit
	reported time.Duration
	returned []feedback

	samples []sample
	stopped time.Duration // in which the picture was held
}

type feedback struct {
	at time.Duration
	b  []byte
}

type sample struct {
	at     time.Duration
	target int
	queue  time.Duration // the true one
	seen   time.Duration
	layer  int
}

func newWorld(t testing.TB, l *link) *world {
	zero := time.Unix(1_700_000_000, 0)
	l.random = rand.New(rand.NewPCG(1, 2))
	if l.delay == 0 {
		l.delay = 20 * time.Millisecond
	}
	if l.queue == 0 {
		l.queue = 300 * time.Millisecond
	}
	return &world{
		t: t, e: New(zero), link: l, zero: zero, random: rand.New(rand.NewPCG(3, 4)),
		recorder: twcc.NewRecorder(1), key: true,
	}
}

func constant(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

func (w *world) clock() time.Time { return w.zero.Add(w.now) }

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; w.now += time.Millisecond {
		for len(w.returned) > 0 && w.returned[0].at <= w.now {
			_ = w.e.Feedback(w.returned[0].b, w.clock())
			w.returned = w.returned[1:]
		}
		w.send()
		if w.other != nil {
			w.other.step(w.link, w.now)
		}
		for _, p := range w.link.run(w.now + time.Millisecond) {
			if p.flow == 1 {
				w.other.arrived(p, w.link)
			} else {
				w.arriving = append(w.arriving, p)
			}
		}
		w.receive()
		if w.now%(20*time.Millisecond) == 0 {
			w.samples = append(w.samples, sample{w.now, w.e.Target(), w.link.wait(w.now), w.e.Queue(w.clock()), w.layer})
		}
	}
}

func (w *world) packet(size int) {
	n := w.e.Sent(w.clock(), size)
	w.link.send(transit{number: n, size: size, sent: w.now})
}

func (w *world) burst(bytes int) {
	for ; bytes > 0; bytes -= packetSize {
		w.packet(min(packetSize, max(bytes, 100)))
	}
}

func (w *world) send() {
	if w.silent {
		return
	}
	if w.now >= w.nextAudio {
		w.nextAudio += audioEvery
		w.packet(audioSize)
		w.media += audioSize
	}
	w.choose()
	if w.now >= w.nextFrame {
		w.nextFrame += frameEvery
		if w.held {
			w.stopped += frameEvery
		} else {
			size := int(float64(layers[w.layer]) / 8 * frameEvery.Seconds() * (0.7 + 0.6*w.random.Float64()))
			if w.key {
				size *= 4
				w.key = false
			}
			w.burst(size)
			w.media += size
		}
	}
	if w.now >= w.nextProbe {
		w.nextProbe += probeEvery
		if n := w.e.Probe(w.clock(), w.want(), false); n > 0 {
			w.burst(n)
			w.extra += n
		}
	}
}

func (w *world) want() int {
	if w.layer == len(layers)-1 {
		return int(float64(layers[w.layer]+audioRate) * headroom)
	}
	return int(float64(layers[w.layer+1]+audioRate) * headroom)
}

func (w *world) choose() {
	target := float64(w.e.Target() - audioRate)
	was := w.layer
	for w.layer > 0 && target < float64(layers[w.layer]) {
		w.layer--
	}
	for w.layer+1 < len(layers) && target > float64(layers[w.layer+1])*1.1 {
		w.layer++
	}
	w.key = w.key || was != w.layer
	switch q := w.e.Queue(w.clock()); {
	case q > 200*time.Millisecond:
		w.held = true
	case q < 100*time.Millisecond:
		w.held = false
	}
}

// receive reports what has arrived, as browsers do: every 50 ms, or more rarely if little arrives.
func (w *world) receive() {
	n := 0
	for n < len(w.arriving) && w.arriving[n].arrival <= w.now {
		p := w.arriving[n]
		at := time.Duration(float64(p.arrival) * (1 + w.skew))
		w.recorder.Record(1, p.number, at.Microseconds()+12_345_678_000)
		n++
	}
	w.arriving = w.arriving[n:]
	if w.now-w.reported < 50*time.Millisecond {
		return
	}
	packets := w.recorder.BuildFeedbackPacket()
	if len(packets) == 0 {
		return
	}
	w.reported = w.now
	for _, p := range packets {
		b, err := p.Marshal()
		if err != nil {
			w.t.Fatal(err)
		}
		if w.blind || w.random.Float64() < w.feedbackLoss {
			continue
		}
		list := [][]byte{b}
		if w.mangle != nil {
			list = w.mangle(b)
		}
		for _, b := range list {
			w.returned = append(w.returned, feedback{w.now + w.link.delay, b})
		}
	}
}

// between returns the least, mean and greatest target in a period.
func (w *world) between(from, to time.Duration) (least, mean, most float64) {
	n := 0
	for _, s := range w.samples {
		if s.at < from || s.at >= to {
			continue
		}
		v := float64(s.target)
		if n == 0 {
			least, most = v, v
		}
		least, most = min(least, v), max(most, v)
		mean += v
		n++
	}
	return least, mean / float64(n), most
}

// longestQueue is the longest true queue in a period.
func (w *world) longestQueue(from, to time.Duration) (longest time.Duration) {
	for _, s := range w.samples {
		if s.at >= from && s.at < to {
			longest = max(longest, s.queue)
		}
	}
	return longest
}
