package siaran

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// One writes, others read, follow, ask for key frames, come and go, and the broadcaster is taken over again and again.
func TestReadersAndWritersTogether(t *testing.T) {
	const packets, takeovers, readers = 3000, 4, 4
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	feed := h.Feed()
	defer feed.Close()
	p := publish(t, h, "owner", testTracks[1])
	b, l := p.Broadcast(), p.Writers()[0].Layer()
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() {
			if err := read(b, l, i); err != nil {
				t.Error(err)
			}
		})
	}
	all.Go(func() {
		for {
			select {
			case <-feed.Ready():
				feed.Take()
			case <-b.Done():
				return
			}
		}
	})
	for n := range takeovers {
		w := p.Writers()[0]
		var writer sync.WaitGroup
		writer.Go(func() {
			for seq := range int64(packets) {
				payload := vp8Next
				if seq%250 == 0 {
					payload = vp8Key
				}
				if err := w.Write(seq*7, seq*3000, true, payload, time.Now()); errors.Is(err, ErrTakenOver) && n < takeovers-1 {
					return
				} else if err != nil {
					t.Error(err)
				}
			}
		})
		if n < takeovers-1 {
			for l.Head() < int64(n+1)*packets/2 {
				select {
				case <-p.KeyframeRequests():
					w.KeyframeWanted()
				case <-time.After(time.Millisecond):
				}
			}
			p = publish(t, h, "owner", testTracks[1])
		}
		writer.Wait()
	}
	p.Stop()
	all.Wait()
}

// read is a viewer: it starts at a key frame and goes on in order to the end.
func read(b *Broadcast, l *Layer, n int) error {
	id := ViewerID(fmt.Sprint(n))
	wake := make(chan struct{}, 1)
	unfollow := l.Follow(wake)
	defer unfollow()
	next, started := int64(0), false
	last := int64(-1)
	for {
		select {
		case <-wake:
		case <-b.Done():
			return nil
		}
		if !started {
			l.RequestKeyframe()
			if next, started = l.Keyframe(); !started {
				continue
			}
			if err := b.Join(Viewer{ID: id}); err != nil {
				return nil
			}
		}
		for head := l.Head(); next < head; next++ {
			next = max(next, l.Tail())
			p := l.Get(next)
			if p == nil {
				continue
			}
			if p.Seq != next || p.Timestamp <= last {
				return fmt.Errorf("packet %d at %d after %d", p.Seq, p.Timestamp, last)
			}
			last = p.Timestamp
		}
		if next%100 == int64(n) {
			b.Leave(id)
			started, last = false, -1
		}
		_ = b.State()
		_, _ = l.Size()
		_ = l.Stats()
	}
}

func TestAWokenReaderSeesThePacket(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	p := publish(t, h, "owner", testTracks[0])
	w := p.Writers()[0]
	l := w.Layer()
	const packets = 5000
	var reader sync.WaitGroup
	reader.Go(func() {
		wake := make(chan struct{}, 1)
		defer l.Follow(wake)()
		for seen := int64(0); seen < packets; seen = l.Head() {
			if l.Head() > seen {
				continue
			}
			select {
			case <-wake:
			case <-time.After(2 * time.Minute):
				t.Errorf("asleep at %d, head %d", seen, l.Head())
				return
			}
		}
	})
	for seq := range int64(packets) {
		write(t, w, seq, seq*960, []byte{1}, time.Now())
	}
	reader.Wait()
}
