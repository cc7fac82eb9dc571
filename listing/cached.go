package listing

import (
	"context"
	"errors"
	"sync"
	"time"

	"siaran"
)

// Metered is a siaran.Listing in which every read costs its owner money, except reads from its own memory.
type Metered interface {
	// RecallLive returns a stream that is live, from memory. ok is false when only the database knows.
	RecallLive(name siaran.StreamName) (stream siaran.Stream, ok bool)

	// RecallAllLive returns all streams that are live, private ones too, from memory and in any order. It may be a
	// moment late. ok is false when only the database knows.
	RecallAllLive() (streams []siaran.Stream, ok bool)
}

const (
	lookupTime   = time.Second // for one read of the database, whoever waits for it
	maxRemember  = 4096        // streams, and as many names without one
	keepLookup   = 10 * time.Second
	keepLive     = 2 * time.Second        // of a live stream that memory does not know yet
	keepUnbilled = 250 * time.Millisecond // where reads are free; watchers too may see a change so late
)

// Remote is a siaran.Listing that asks another server for some names.
type Remote interface {
	// Unheard reports whether that server would be asked for a name that nothing good is known of.
	Unheard(name siaran.StreamName) bool
}

// Cached is a read-through cache in front of a listing. It answers all who may ask as often as they like, so that
// neither the load on the database nor its bill grows with their number:
//
//   - However many ask for the same stream or list at the same time, the database is read once.
//   - An answer is good for a while, also that there is no such stream.
//   - Read asks for payment before a read of the database, so that the caller can bound what strangers cause.
//   - Memory is bounded. Made-up names do not push out streams that exist.
//
// A change of a stream that is made through it is seen at once by all who ask it. What others change, the reporter of
// this server included, may be seen as much later as an answer is good.
type Cached struct {
	siaran.Listing
	metered Metered // nil: reads are free
	remote  Remote  // nil: no other server is asked

	mu      sync.Mutex
	changes uint64 // of streams, through this cache
	flights map[siaran.StreamName]*flight
	found   *lru[lookup] // also the last that was heard of a stream, for LastSeen
	missing *lru[lookup]

	lists listCache
}

// lookup is what the database said of a name.
type lookup struct {
	stream siaran.Stream // with the key generation alone when there is no such stream
	until  time.Time     // how long this is a good answer
}

// flight is one read of the database for all who want to know the same.
type flight struct {
	done   chan struct{} // closed at the end, after the fields below were set
	stream siaran.Stream
	err    error
}

// NewCached puts a cache in front of a listing. Closing it closes the listing.
func NewCached(l siaran.Listing) *Cached {
	c := &Cached{
		Listing: l, flights: make(map[siaran.StreamName]*flight),
		found: newLRU[lookup](maxRemember), missing: newLRU[lookup](maxRemember),
	}
	c.metered, _ = l.(Metered)
	c.remote, _ = l.(Remote)
	c.lists.init(c)
	return c
}

// Metered reports whether reads of the listing cost its owner money.
func (c *Cached) Metered() bool { return c.metered != nil }

// Stream implements siaran.Listing. It always asks the listing.
func (c *Cached) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	c.mu.Lock()
	begun := c.changes
	c.mu.Unlock()
	stream, err := c.Listing.Stream(ctx, name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == begun { // otherwise it may have been read before the change
		c.remember(name, stream, err)
	}
	return stream, err
}

// Recent returns a stream as it was a short while ago, without asking the database; found is false if there was none.
// ok is false when the database has to be asked.
func (c *Cached) Recent(name siaran.StreamName) (stream siaran.Stream, found, ok bool) {
	if c.metered != nil {
		if stream, ok := c.metered.RecallLive(name); ok {
			return stream, true, true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, known := c.found.get(name); known {
		return l.stream, true, time.Now().Before(l.until)
	}
	l, known := c.missing.get(name)
	return l.stream, false, known && time.Now().Before(l.until)
}

// Read is Recent, and asks the database if it has to: once for all who want to know the same at the same time. Where
// reads cost money, or another server is asked for a name that strangers may have made up, pay is called before, and
// its error is returned instead. If there is no such stream it fails as Stream does.
func (c *Cached) Read(ctx context.Context, name siaran.StreamName, pay func() error) (siaran.Stream, error) {
	if stream, found, ok := c.Recent(name); ok {
		if !found {
			return stream, siaran.ErrUnknownStream
		}
		return stream, nil
	}
	alone := len(siaran.WayOf(ctx)) > 0 // the answer may depend on the way, and is nobody else's
	f := c.flight(name)
	if f == nil || alone {
		if c.metered != nil || c.remote != nil && c.remote.Unheard(name) {
			if err := pay(); err != nil {
				return siaran.Stream{}, err
			}
		}
		if alone {
			return c.Stream(ctx, name)
		}
		var mine bool
		if f, mine = c.begin(name); mine {
			c.fly(ctx, name, f)
		}
	}
	select {
	case <-f.done:
		return f.stream, f.err
	case <-ctx.Done():
		return siaran.Stream{}, ctx.Err()
	}
}

// flight returns the one for a name that is on its way, or nil.
func (c *Cached) flight(name siaran.StreamName) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flights[name]
}

// begin begins a flight that is then the caller's to fly, unless somebody else has just done so.
func (c *Cached) begin(name siaran.StreamName) (f *flight, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[name]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{}), err: errors.New("listing: a read has not ended")}
	c.flights[name] = f
	return f, true
}

// fly reads the database. It goes on when the one who began it has gone, because others may wait for it.
func (c *Cached) fly(ctx context.Context, name siaran.StreamName, f *flight) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.flights[name] == f {
			delete(c.flights, name)
		}
		close(f.done)
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
	defer cancel()
	f.stream, f.err = c.Stream(ctx, name)
}

// remember keeps an answer of the database. The caller holds mu.
func (c *Cached) remember(name siaran.StreamName, stream siaran.Stream, err error) {
	keep := c.keep(name, stream)
	switch answer := (lookup{stream, time.Now().Add(keep)}); {
	case err == nil:
		c.missing.drop(name)
		c.found.put(name, answer)
	case errors.Is(err, siaran.ErrUnknownStream):
		c.found.drop(name)
		c.missing.put(name, answer)
	}
}

// keep returns how long an answer is good.
func (c *Cached) keep(name siaran.StreamName, stream siaran.Stream) time.Duration {
	live := stream.Status == siaran.StatusLive || stream.Status == siaran.StatusInterrupted
	switch {
	case c.metered == nil && live:
		return 0 // reads are free, and it changes without this cache being told
	case c.metered == nil:
		return keepUnbilled
	case !live:
		return keepLookup
	}
	if _, known := c.metered.RecallLive(name); known {
		return 0 // memory knows better, also when it ends
	}
	return keepLive
}

// LastSeen returns what decides who may do what with a stream, as it was heard last, however long ago: its visibility,
// its key generation, its owner and its limits. It is for the time that the listing does not answer, when broadcasters
// and viewers must be able to come back. ok is false when nothing is known of such a stream.
func (c *Cached) LastSeen(name siaran.StreamName) (stream siaran.Stream, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.found.get(name)
	return siaran.Stream{
		Name: name, Status: siaran.StatusOffline,
		Visibility: l.stream.Visibility, KeyGeneration: l.stream.KeyGeneration, Owner: l.stream.Owner,
		TokenGeneration: l.stream.TokenGeneration,
		MaxViewers:      l.stream.MaxViewers, EmbedSites: l.stream.EmbedSites,
	}, ok
}

// changed is called after a stream has been changed: nothing that was read before is a good answer any more.
func (c *Cached) changed(name siaran.StreamName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(name)
}

// expire is changed for callers that hold mu.
func (c *Cached) expire(name siaran.StreamName) {
	c.changes++
	delete(c.flights, name)
	c.missing.drop(name)
	if l, known := c.found.get(name); known {
		l.until = time.Time{}
		c.found.put(name, l)
	}
	c.lists.changed(name)
}

// Edit implements siaran.Listing.
func (c *Cached) Edit(ctx context.Context, name siaran.StreamName, edit siaran.StreamEdit) (siaran.Stream, error) {
	defer c.changed(name) // also after an error: the change may have been made all the same
	return c.Listing.Edit(ctx, name, edit)
}

// RotateKeys implements siaran.Listing.
func (c *Cached) RotateKeys(ctx context.Context, name siaran.StreamName) (int, error) {
	defer c.changed(name)
	return c.Listing.RotateKeys(ctx, name)
}

// Delete implements siaran.Listing.
func (c *Cached) Delete(ctx context.Context, name siaran.StreamName) error {
	err := c.Listing.Delete(ctx, name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(name)
	if err == nil {
		c.found.drop(name) // its keys are void, also for LastSeen
	}
	return err
}

// Claim implements siaran.Listing. A stream that it creates is known to LastSeen.
func (c *Cached) Claim(ctx context.Context, name siaran.StreamName, node, owner string, quota int) error {
	err := c.Listing.Claim(ctx, name, node, owner, quota)
	c.mu.Lock()
	defer c.mu.Unlock()
	before, missing := c.missing.get(name)
	c.expire(name)
	if err == nil && missing {
		created := siaran.Stream{
			Name: name, Status: siaran.StatusOffline, Visibility: siaran.VisibilityPublic,
			KeyGeneration: before.stream.KeyGeneration, Owner: owner,
		}
		c.found.put(name, lookup{stream: created})
	}
	return err
}

// Apply implements siaran.Listing.
func (c *Cached) Apply(ctx context.Context, u siaran.Update) error {
	err := c.Listing.Apply(ctx, u)
	for _, change := range u.Changes {
		c.changed(change.State.Stream)
	}
	return err
}
