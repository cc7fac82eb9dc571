package webhook

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"siaran"
)

func exactly(d time.Duration) time.Duration { return d }

// TestFullQueue: what is dropped first are batches of viewers, the oldest first, then the oldest events, and never what
// is being sent.
func TestFullQueue(t *testing.T) {
	q := newQueue(exactly)
	const most = 2000
	q.most = most
	now := time.Now()
	add := func(i int, viewers bool) []item {
		at := now.Add(time.Duration(i) * time.Millisecond)
		it := item{seq: int64(i), id: fmt.Sprint(i), at: at, viewers: viewers, size: 300}
		return q.add(siaran.StreamName(fmt.Sprint("s", i%7)), it)
	}
	for i := range most {
		if dropped := add(i, i%2 == 0); dropped != nil {
			t.Fatalf("%d dropped after %d", len(dropped), i)
		}
	}
	if _, it, ok, _ := q.take(now); !ok || it.seq != 0 {
		t.Fatal(it)
	}
	dropped := add(most, true)
	if len(dropped) < most/20 {
		t.Error(len(dropped), "dropped")
	}
	for i, it := range dropped {
		if !it.viewers || it.seq != int64(2*i+2) {
			t.Fatalf("dropped %+v as number %d", it, i)
		}
	}
	for i := range most {
		add(most+1+i, false)
	}
	if q.count > most || q.bytes != 300*q.count {
		t.Error(q.count, q.bytes)
	}
	viewers := 0
	for _, l := range q.lanes {
		for _, it := range l.items {
			if it.viewers {
				viewers++
			}
		}
	}
	if viewers != 1 || q.lanes["s0"].items[0].seq != 0 {
		t.Errorf("%d batches of viewers left; the first is %+v", viewers, q.lanes["s0"].items[0])
	}
}

func TestFullMemory(t *testing.T) {
	q := newQueue(exactly)
	for i := range 100 {
		body := make([]byte, mostInMemory/20)
		q.add("cats", item{id: fmt.Sprint(i), at: time.Unix(int64(i), 0), size: len(body), body: body})
		if q.inMemory > mostInMemory {
			t.Fatal(q.inMemory)
		}
	}
	if items := q.lanes["cats"].items; items[len(items)-1].id != "99" {
		t.Error("the newest was dropped")
	}
}

// TestQueueIsInOrder takes and answers at random: whatever fails, each stream's messages are taken in order.
func TestQueueIsInOrder(t *testing.T) {
	q := newQueue(jitter)
	now := time.Now()
	const streams, each = 5, 40
	for i := range streams * each {
		q.add(siaran.StreamName(fmt.Sprint(i%streams)), item{seq: int64(i), id: fmt.Sprint(i), at: now, size: 1})
	}
	type sending struct {
		stream siaran.StreamName
		seq    int64
	}
	var busy []sending
	last := make(map[siaran.StreamName]int64)
	for steps := 0; q.waiting() > 0; steps++ {
		if steps > 100_000 {
			t.Fatal("no end")
		}
		now = now.Add(rand.N(10 * time.Second))
		if stream, it, ok, _ := q.take(now); ok {
			busy = append(busy, sending{stream, it.seq})
		}
		if len(busy) == 0 || len(busy) < mostAtOnce && rand.N(2) == 0 {
			continue
		}
		i := rand.N(len(busy))
		s := busy[i]
		busy = append(busy[:i], busy[i+1:]...)
		o := outcome(rand.N(3))
		q.done(s.stream, o, 0, now)
		if o != taken {
			continue
		}
		if before, any := last[s.stream]; any && s.seq != before+streams {
			t.Fatalf("%s: %d after %d", s.stream, s.seq, before)
		}
		last[s.stream] = s.seq
	}
	if q.count != 0 || q.bytes != 0 || q.busy != 0 || len(q.lanes) != 0 {
		t.Errorf("%+v", q)
	}
}

func TestPauses(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1000: time.Minute,
	} {
		if got := pause(failures, lastPause); got != want {
			t.Errorf("%d: %s, want %s", failures, got, want)
		}
	}
	for range 100 {
		if d := jitter(time.Second); d < time.Second/2 || d > time.Second {
			t.Error(d)
		}
	}
}
