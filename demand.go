package siaran

import "time"

// Need says that somebody needs the layer now. Whoever needs it for longer says so again, a few times a second. The
// session that feeds a layer which rests is told.
func (l *Layer) Need() {
	l.needed.Store(int64(time.Since(epoch)))
	if !l.resting.Load() {
		return
	}
	if p := l.feeder.Load(); p != nil {
		p.poke()
	}
}

// Needed returns when somebody last needed the layer; the zero time before the first.
func (l *Layer) Needed() time.Time {
	if at := l.needed.Load(); at != 0 {
		return epoch.Add(time.Duration(at))
	}
	return time.Time{}
}

// Resting reports whether the layer does not come because nobody has needed it, and can be had again by [Layer.Need].
// In the meantime its size and rates are those that it had.
func (l *Layer) Resting() bool { return l.resting.Load() }

// Rest says that the layer does not come for now because nobody needs it, or that this is over. Nothing that was there
// before is kept, so that no viewer begins with an old picture.
func (w *Writer) Rest(resting bool) {
	l := w.layer
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer != w {
		return
	}
	if resting {
		l.drop()
		l.giveBack(0)
		l.parts.pause()
	}
	l.resting.Store(resting)
}
