package web

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

const (
	pictureWait = time.Second // for a key frame whose packets are arriving
	maxPictures = 64 << 20    // bytes; the picture that was not replaced for the longest goes first
)

// pictures keeps the newest key frame of each stream as it is sent, so that many viewers of the dashboard cost no more
// than one.
type pictures struct {
	mu     sync.Mutex
	kept   map[siaran.StreamName]*picture
	recent []siaran.StreamName // the newest last
	bytes  int
}

func newPictures() *pictures {
	return &pictures{kept: make(map[siaran.StreamName]*picture)}
}

func (p *pictures) get(name siaran.StreamName) *picture {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept[name]
}

func (p *pictures) put(name siaran.StreamName, fresh *picture) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(name)
	p.kept[name] = fresh
	p.recent = append(p.recent, name)
	p.bytes += len(fresh.body)
	for p.bytes > maxPictures {
		p.drop(p.recent[0])
	}
}

func (p *pictures) forget(name siaran.StreamName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(name)
}

// drop is forget for callers that hold mu.
func (p *pictures) drop(name siaran.StreamName) {
	old := p.kept[name]
	if old == nil {
		return
	}
	delete(p.kept, name)
	p.recent = slices.DeleteFunc(p.recent, func(n siaran.StreamName) bool { return n == name })
	p.bytes -= len(old.body)
}

// keyframe sends the newest whole key frame of a stream's smallest layer, for WebCodecs.
func (s *Server) keyframe(c echo.Context) error {
	if err := s.pictureLimit.take(c); err != nil {
		return err
	}
	g, err := s.authorize(c, access.Watch)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), pictureWait)
	defer cancel()
	p := s.newestPicture(ctx, g.stream.Name)
	if p == nil {
		return fail(noPicture, "there is no picture of this stream now")
	}
	h := c.Response().Header()
	h.Set("X-Siaran-Codec", p.codec)
	h.Set(echo.HeaderContentType, "application/octet-stream")
	h.Set("ETag", p.tag)
	h.Set("Cache-Control", "no-cache")
	if g.stream.Visibility == siaran.VisibilityPrivate {
		h.Set("Cache-Control", "private, no-cache")
	}
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(p.body))
	return nil
}

// newestPicture returns the newest whole key frame, or nil. While a key frame is arriving, that is the one before. If
// there is none, it waits until ctx ends.
func (s *Server) newestPicture(ctx context.Context, name siaran.StreamName) *picture {
	b, err := s.cfg.Hub.Broadcast(name)
	if err != nil || b.Video() == nil {
		s.pictures.forget(name)
		return nil
	}
	old := s.pictures.get(name)
	if old != nil && old.broadcast != b.ID() {
		old = nil
	}
	layer := smallestLayer(b.Video())
	if layer == nil {
		return old
	}
	var wake chan struct{} // nil until there is something to wait for: Follow takes a lock that the broadcaster needs
	for {
		first, ok := layer.Keyframe()
		if !ok || old != nil && old.rid == layer.RID() && old.first == first {
			return old
		}
		body, whole, broken := assemble(layer, first)
		switch {
		case whole:
			p := &picture{
				broadcast: b.ID(), rid: layer.RID(), first: first,
				body: body, codec: codecString(layer.Codec().Name, body),
			}
			p.tag = quoteTag(fmt.Sprintf("%s-%s-%d", b.ID(), layer.RID(), first))
			if p.codec == "" {
				return old
			}
			s.pictures.put(name, p)
			return p
		case broken || old != nil:
			return old
		}
		if wake == nil {
			wake = make(chan struct{}, 1)
			unfollow := layer.Follow(wake)
			defer unfollow()
			continue // look again: more may have arrived before Follow
		}
		select {
		case <-wake:
		case <-b.Done():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// smallestLayer returns the smallest layer that has a key frame, or nil.
func smallestLayer(t *siaran.Track) *siaran.Layer {
	var list []*siaran.Layer
	for _, l := range t.Layers {
		if _, ok := l.Keyframe(); ok {
			list = append(list, l)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return slices.MinFunc(list, func(a, b *siaran.Layer) int { return cmp.Compare(area(a), area(b)) })
}

func area(l *siaran.Layer) int {
	w, h := l.Size()
	return w * h
}
