package web

import (
	"context"
	"errors"
	"sync"
	"time"

	"siaran"
	"siaran/web/access"
)

const (
	lookupTime = time.Second
	maxKnown   = 16384 // streams that are remembered
)

// rules are what decides who may do what with a stream.
type rules struct {
	visibility siaran.Visibility
	generation int
	owner      string
}

// known remembers the rules of streams for the time that the listing does not answer: who
// is on air or watches must be able to come back then.
type known struct {
	mu   sync.Mutex
	last map[siaran.StreamName]rules
}

func (k *known) put(s siaran.Stream) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, there := k.last[s.Name]; !there && len(k.last) >= maxKnown {
		for name := range k.last { // any one: it is only a help in need
			delete(k.last, name)
			break
		}
	}
	k.last[s.Name] = rules{s.Visibility, s.KeyGeneration, s.Owner}
}

func (k *known) get(name siaran.StreamName) (siaran.Stream, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.last[name]
	return siaran.Stream{Name: name, Status: siaran.StatusOffline, Visibility: r.visibility, KeyGeneration: r.generation, Owner: r.owner}, ok
}

// lookup is what the listing knows of a stream; a stream it does not know is public and has its first keys.
func (s *Server) lookup(ctx context.Context, name siaran.StreamName) (stream siaran.Stream, there bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	stream, err = s.cfg.Listing.Stream(ctx, name)
	switch {
	case err == nil:
		return stream, true, nil
	case errors.Is(err, siaran.ErrUnknownStream):
		return unknown(name), false, nil
	}
	return stream, false, listingFailed(err)
}

func unknown(name siaran.StreamName) siaran.Stream {
	return siaran.Stream{Name: name, Visibility: siaran.VisibilityPublic, Status: siaran.StatusOffline}
}

// rulesOf is lookup for what concerns media, which goes on without the listing.
func (s *Server) rulesOf(ctx context.Context, name siaran.StreamName) (siaran.Stream, bool, error) {
	stream, there, err := s.lookup(ctx, name)
	return s.orKnown(name, stream, there, err)
}

// orKnown makes up for a look-up that has failed.
func (s *Server) orKnown(name siaran.StreamName, stream siaran.Stream, there bool, err error) (siaran.Stream, bool, error) {
	if err != nil {
		if last, ok := s.known.get(name); ok {
			return last, true, nil
		}
		return stream, false, err
	}
	if there {
		s.known.put(stream)
	}
	return stream, there, nil
}

// target is what decides who may do what with a stream that lookup has found, or not.
func target(stream siaran.Stream, there bool) access.Target {
	return access.Target{Stream: stream.Name, KeyGeneration: stream.KeyGeneration, Owner: stream.Owner, New: !there}
}
