package ingest

import (
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
)

// TestPullOverALossyLink has an inner link that loses a datagram in twenty, each way, and takes 40 ms.
func TestPullOverALossyLink(t *testing.T) {
	t.Parallel()
	const frames = 400
	edge, origin := start(t, nil), startParent(t)
	stop := origin.play(50)
	l := openLink(t, origin.port, 40*time.Millisecond, 0.05)
	p := edge.pull(t, origin.exchange(l.edit))
	layer := p.Broadcast().Video().Layers[0]
	done := make(chan struct{})
	received := make(map[uint32]int) // packets of each frame
	go func() {
		defer close(done)
		wake := make(chan struct{}, 1)
		defer layer.Follow(wake)()
		for seq := layer.Tail(); len(received) < frames; {
			for ; seq < layer.Head(); seq++ {
				if packet := layer.Get(seq); packet != nil {
					received[numberIn(packet)]++
				}
			}
			select {
			case <-wake:
			case <-p.Done():
				return
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("the picture has stopped")
	}
	stop()
	p.Close()
	first, last := uint32(1<<31), uint32(0)
	for n := range received {
		first, last = min(first, n), max(last, n)
	}
	whole, all := 0, 0
	for n := first; n < last; n++ { // the last one may not be here yet
		all++
		if received[n] == framePackets {
			whole++
		}
	}
	sound := p.Broadcast().Audio().Layers[0].Stats()
	t.Logf("%d of %d frames whole, %d of %d packets of sound missing, %d datagrams lost",
		whole, all, sound.Lost, sound.Packets, l.lost.Load())
	if float64(sound.Lost) > 0.005*float64(sound.Packets) {
		t.Errorf("%d of %d packets of sound are missing", sound.Lost, sound.Packets)
	}
	if float64(whole) < 0.995*float64(all) {
		t.Errorf("%d of %d frames are whole", whole, all)
	}
	if l.lost.Load() == 0 {
		t.Error("nothing was lost")
	}
	testutil.Eventually(t, "the interruption", func() bool {
		return p.Broadcast().State().Status != siaran.StatusLive
	})
}
