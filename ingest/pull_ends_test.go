package ingest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/testutil"
)

// noticing makes a server miss a parent that it has not heard for so long.
func noticing(absence time.Duration) func(*Config) { return func(c *Config) { c.absence = absence } }

// TestPullNoticesThatTheParentIsGone has a parent that goes without a word.
func TestPullNoticesThatTheParentIsGone(t *testing.T) {
	t.Parallel()
	const absence = 2 * time.Second // longer than a busy machine stands still
	edge, origin := start(t, noticing(absence)), startParent(t)
	origin.play(25)
	l := openLink(t, origin.port, 0, 0)
	p := edge.pull(t, origin.exchange(l.edit))
	l.dead.Store(true)
	since := time.Now()
	ended(t, p, ErrStalled)
	if d := time.Since(since); d < absence/2 {
		t.Errorf("after %s already", d)
	} else {
		t.Log("after", d)
	}
	if s := p.Broadcast().State(); s.Status != siaran.StatusInterrupted {
		t.Errorf("its broadcast is %s", s.Status)
	}
}

// TestPullOutlastsAnInterruption has a parent whose own broadcaster is silent for a while.
func TestPullOutlastsAnInterruption(t *testing.T) {
	t.Parallel()
	const absence = 4 * time.Second // longer than a busy machine stands still
	edge, origin := start(t, noticing(absence)), startParent(t)
	stop := origin.play(25)
	p := edge.pull(t, origin.exchange(nil))
	stop()
	since := time.Now()
	b := p.Broadcast()
	testutil.Eventually(t, "the interruption", func() bool { return b.State().Status == siaran.StatusInterrupted })
	testutil.Eventually(t, "silence in which only checks are answered", func() bool {
		return time.Since(since) > absence+2*parentPatience
	})
	origin.play(25)
	testutil.Eventually(t, "the end of the interruption", func() bool { return b.State().Status == siaran.StatusLive })
	select {
	case <-p.Done():
		t.Error("the pull has ended:", p.Err())
	default:
	}
	p.Close()
}

func TestPullEndsWithTheParent(t *testing.T) {
	for name, end := range map[string]func(*parent){
		"broadcast": func(p *parent) { p.pub.Stop() },
		"server":    func(p *parent) { _ = p.egress.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			edge, origin := start(t, nil), startParent(t)
			origin.play(25)
			p := edge.pull(t, origin.exchange(nil))
			end(origin)
			ended(t, p, ErrParentEnded)
		})
	}
}

func TestPullEndsWithTheServer(t *testing.T) {
	edge, origin := start(t, nil), startParent(t)
	origin.play(25)
	p := edge.pull(t, origin.exchange(nil))
	edge.Close()
	ended(t, p, siaran.ErrClosed)
	_, err := edge.Pull(t.Context(), PullConfig{Stream: "dogs", Owner: "relay", Exchange: origin.exchange(nil)})
	if !errors.Is(err, siaran.ErrClosed) {
		t.Error(err)
	}
}

// TestServerClosesWhilePullsBegin has pulls that wait for the parent's answer, and for its media.
func TestServerClosesWhilePullsBegin(t *testing.T) {
	edge, origin := start(t, nil), startParent(t)
	origin.play(25)
	l := openLink(t, origin.port, 0, 1)
	asked := make(chan struct{}, 2)
	results := make(chan error, 2)
	for stream, exchange := range map[siaran.StreamName]func(context.Context, []byte) (PullAnswer, error){
		"cats": func(ctx context.Context, offer []byte) (PullAnswer, error) {
			asked <- struct{}{}
			return origin.exchange(l.edit)(ctx, offer)
		},
		"dogs": func(ctx context.Context, _ []byte) (PullAnswer, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return PullAnswer{}, ctx.Err()
		},
	} {
		go func() {
			_, err := edge.Pull(context.Background(), PullConfig{Stream: stream, Owner: "relay", Exchange: exchange})
			results <- err
		}()
	}
	<-asked
	<-asked
	edge.Close()
	for range 2 {
		if err := <-results; !errors.Is(err, siaran.ErrClosed) {
			t.Error(err)
		}
	}
}

// TestViewersFollowToAnotherParent changes parents while the first one still sends, and after it is gone.
func TestViewersFollowToAnotherParent(t *testing.T) {
	for name, gone := range map[string]bool{"sends": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edge, one, other := start(t, noticing(2*time.Second)), startParent(t), startParent(t)
			one.play(25)
			other.frame = 1_000_000
			other.play(25)
			l := openLink(t, one.port, 0, 0)
			first := edge.pull(t, one.exchange(l.edit))
			b := first.Broadcast()
			if err := b.Join(siaran.Viewer{ID: "v"}); err != nil {
				t.Fatal(err)
			}
			want := siaran.ErrTakenOver
			if gone {
				want = ErrStalled
				l.dead.Store(true)
				ended(t, first, want)
			}
			second := edge.pull(t, other.exchange(nil))
			ended(t, first, want)
			if second.Broadcast() != b || b.ID() != parentBroadcast {
				t.Fatal("it is another broadcast")
			}
			layer := b.Video().Layers[0]
			testutil.Eventually(t, "frames of the other parent", func() bool {
				newest := layer.Get(layer.Head() - 1)
				return newest != nil && numberIn(newest) >= 1_000_025
			})
			switched := int64(-1)
			for seq := layer.Tail(); seq < layer.Head(); seq++ {
				if p := layer.Get(seq); p != nil && numberIn(p) >= 1_000_000 {
					switched = seq
					break
				}
			}
			if p := layer.Get(switched); !p.Keyframe || p.Payload[24] != 0 {
				t.Error("the picture does not go on at a key frame")
			}
			select {
			case <-b.Done():
				t.Error("the viewers are gone")
			default:
			}
			if s := b.State(); s.Viewers != 1 || s.Status != siaran.StatusLive {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestPullGoesOnWithoutRepetition has a parent that is away for a while. When it is pulled from again, it begins with a
// key frame that is here already.
func TestPullGoesOnWithoutRepetition(t *testing.T) {
	t.Parallel()
	edge, origin := start(t, noticing(2*time.Second)), startParent(t)
	origin.play(1000) // one key frame
	l := openLink(t, origin.port, 0, 0)
	first := edge.pull(t, origin.exchange(l.edit))
	layer := first.Broadcast().Video().Layers[0]
	before := follow(t, layer, 10*framePackets)[0]
	l.dead.Store(true)
	ended(t, first, ErrStalled)
	stood := layer.Head()
	edge.pull(t, origin.exchange(nil))
	testutil.Eventually(t, "the picture to go on", func() bool { return layer.Head() >= stood+20*framePackets })
	for seq := before.Seq; seq < stood+20*framePackets; seq++ {
		p := layer.Get(seq)
		after := seq - before.Seq
		if p == nil || int64(numberIn(p)) != int64(numberIn(before))+after/framePackets ||
			p.Timestamp != before.Timestamp+after/framePackets*3600 {
			t.Fatalf("packet %d is %+v", seq, p)
		}
	}
}

// TestKeyframeRequestsGoToTheParent asks as viewers do.
func TestKeyframeRequestsGoToTheParent(t *testing.T) {
	edge := start(t, nil)
	origin := &fullParent{t: t, role: webrtc.DTLSRoleClient, video: webrtc.MimeTypeVP8}
	p := edge.pull(t, origin.exchange(nil))
	layer := p.Broadcast().Video().Layers[0]
	follow(t, layer, 10)
	before := origin.requests.Load()
	testutil.Eventually(t, "a request", func() bool {
		layer.RequestKeyframe()
		return origin.requests.Load() > before
	})
	p.Close()
}

// TestFailedPullLeavesTheOneBefore tries a parent that cannot be reached.
func TestFailedPullLeavesTheOneBefore(t *testing.T) {
	edge, origin := start(t, nil), startParent(t)
	origin.play(25)
	p := edge.pull(t, origin.exchange(nil))
	l := openLink(t, origin.port, 0, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := edge.Pull(ctx, PullConfig{
		Stream: "cats", Owner: "relay",
		Exchange: func(ctx context.Context, offer []byte) (PullAnswer, error) {
			time.AfterFunc(300*time.Millisecond, cancel) // it is left waiting
			return origin.exchange(l.edit)(ctx, offer)
		},
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrParent) {
		t.Error(err)
	}
	select {
	case <-p.Done():
		t.Error("the pull before has ended:", p.Err())
	default:
	}
	p.Close()
}

// moves is Moves for the broadcast b of one owner.
type moves struct {
	owner string
	b     *siaran.Broadcast
	pull  *Pulled
}

func (m *moves) Origin(_ siaran.StreamName, owner string) (siaran.Origin, bool, error) {
	if owner != m.owner {
		return siaran.Origin{}, false, siaran.ErrStreamTaken
	}
	return siaran.Origin{ID: m.b.ID(), Moves: 1}, true, nil
}

func (m *moves) LetGo(siaran.StreamName) { m.pull.Close() }

// TestBroadcasterAtAnEdge has a broadcaster who wants a stream that comes from elsewhere.
func TestBroadcasterAtAnEdge(t *testing.T) {
	m := &moves{}
	edge := start(t, func(c *Config) { c.Moves = m })
	origin := startParent(t)
	origin.play(25)
	p := edge.pull(t, origin.exchange(nil))
	b := p.Broadcast()
	m.b, m.pull = b, p
	if err := b.Join(siaran.Viewer{ID: "v"}); err != nil {
		t.Fatal(err)
	}
	offer := []byte(newClient(t, clientOptions{video: webrtc.MimeTypeVP8}).offer())
	_, err := edge.Offer(t.Context(), "cats", "owner", netip.Addr{}, offer)
	if !errors.Is(err, siaran.ErrStreamTaken) {
		t.Fatal(err)
	}
	m.owner = "owner"
	publish(t, edge, "cats", clientOptions{video: webrtc.MimeTypeVP8})
	ended(t, p, ErrPullClosed)
	now := edge.pubBroadcast("cats")
	if s := b.State(); now != b || s.Owner != "owner" || s.Moves != 1 {
		t.Errorf("the broadcast is %+v", s)
	}
	_, err = edge.Offer(t.Context(), "cats", "owner", netip.Addr{}, offer)
	if !errors.Is(err, siaran.ErrContested) {
		t.Errorf("another one with the same credential, at once: %v", err)
	}
	if _, err := edge.Pull(t.Context(), PullConfig{
		Stream: "cats", Owner: "relay", Exchange: origin.exchange(nil),
	}); !errors.Is(err, siaran.ErrStreamTaken) {
		t.Errorf("pulled what a broadcaster has: %v", err)
	}
}

// pubBroadcast is the broadcast that a session here feeds.
func (s *testServer) pubBroadcast(stream siaran.StreamName) *siaran.Broadcast {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sess := range s.sessions {
		if sess.info.Stream == stream {
			return sess.publication.Broadcast()
		}
	}
	return nil
}
