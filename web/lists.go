package web

import (
	"bytes"
	"context"
	"sync"

	"siaran"
	"siaran/listing"
)

const (
	maxList     = 1000 // streams of one answer
	defaultList = 100
)

// renderedList is the list of every public stream as JSON, which takes longer to write than to send.
type renderedList struct {
	mu     sync.Mutex
	list   *listing.List
	bodies [][]byte
}

// of returns the streams of a list as JSON, which must not be changed.
func (r *renderedList) of(list *listing.List) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list != list {
		r.list, r.bodies = list, renderAll(list.Streams)
	}
	return r.bodies
}

// publicStreams returns the list that everybody may see, as JSON: what is live, or everything.
func (s *Server) publicStreams(ctx context.Context, all bool) ([][]byte, error) {
	if all {
		list, err := s.listing.AllList(ctx)
		if err != nil {
			return nil, err
		}
		return s.allStreams.of(list), nil
	}
	list, err := s.listing.LiveList(ctx)
	if err != nil {
		return nil, err
	}
	return renderAll(list.Streams), nil
}

// renderAll writes streams as JSON.
func renderAll(streams []siaran.Stream) [][]byte {
	bodies := make([][]byte, len(streams))
	for i, stream := range streams {
		bodies[i] = render(stream).body
	}
	return bodies
}

// listBody is the answer with streams that are JSON already.
func listBody(streams [][]byte) []byte {
	var b bytes.Buffer
	b.WriteString(`{"streams":[`)
	b.Write(bytes.Join(streams, []byte(",")))
	b.WriteString("]}\n")
	return b.Bytes()
}
