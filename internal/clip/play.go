package clip

import (
	"context"
	"errors"
	"io"
	"time"
)

// late is by how much playing may fall behind, as when the machine has slept, before the time lost is left out.
const late = time.Second

// Play calls send for each frame of each track, in the order of time and when it is due, until the clip
// ends, ctx ends or send fails; the error is that of ctx, of send or of a file. With loop the clip begins
// again and again: a round lasts as long as its longest track, and At goes on across rounds.
func (c *Clip) Play(ctx context.Context, loop bool, send func(track int, f Frame) error) error {
	p := player{clip: c, start: time.Now(), send: send, timer: time.NewTimer(0)}
	defer p.timer.Stop()
	for {
		long, err := p.round(ctx)
		if err != nil || !loop {
			return err
		}
		p.offset += max(long, time.Millisecond)
	}
}

type player struct {
	clip   *Clip
	send   func(track int, f Frame) error
	timer  *time.Timer
	start  time.Time
	offset time.Duration // of this round
}

// lane is one track while it plays.
type lane struct {
	reader
	ahead Frame
	long  time.Duration // of the frame before
	ended bool
}

func (l *lane) advance() error {
	f, err := l.next()
	if errors.Is(err, io.EOF) {
		l.ended = true
		return nil
	}
	if err != nil {
		return err
	}
	if f.Long > 0 {
		l.long = f.Long
	} else if f.At > l.ahead.At {
		l.long = f.At - l.ahead.At
	}
	l.ahead = f
	return nil
}

// round plays the clip once and returns how long it is.
func (p *player) round(ctx context.Context) (time.Duration, error) {
	var lanes []*lane
	for i := range p.clip.tracks {
		file, r, err := p.clip.tracks[i].start()
		if err != nil {
			return 0, err
		}
		defer file.Close() // was only read
		l := &lane{reader: r}
		if err := l.advance(); err != nil {
			return 0, err
		}
		lanes = append(lanes, l)
	}
	var long time.Duration
	for {
		due := -1
		for i, l := range lanes {
			if !l.ended && (due < 0 || l.ahead.At < lanes[due].ahead.At) {
				due = i
			}
		}
		if due < 0 {
			// The last frame is shown for its time before the next round or the end.
			return long, p.wait(ctx, p.offset+long)
		}
		l := lanes[due]
		f := l.ahead
		f.At += p.offset
		if err := p.wait(ctx, f.At); err != nil {
			return 0, err
		}
		if err := p.send(due, f); err != nil {
			return 0, err
		}
		if err := l.advance(); err != nil {
			return 0, err
		}
		long = max(long, f.At-p.offset+l.long)
	}
}

// wait sleeps until at on the clock of the clip.
func (p *player) wait(ctx context.Context, at time.Duration) error {
	left := time.Until(p.start.Add(at))
	if left < -late {
		p.start = p.start.Add(-left)
	}
	if left <= 0 {
		return ctx.Err()
	}
	p.timer.Reset(left)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.timer.C:
		return nil
	}
}
