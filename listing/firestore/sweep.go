package firestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"siaran/listing/internal/live"

	"cloud.google.com/go/firestore"

	"siaran"
)

const (
	sweepBatch    = 250 // documents
	sweepClaim    = 30 * time.Second
	sweepTime     = 8 * time.Second   // of one sweep, for the viewers of other servers
	sweepsASecond = writesASecond / 2 // documents of viewers; the rest is for viewers who come and go
)

// Sweep implements siaran.Listing. It first takes the streams of the dead, which are all that people see, and then the
// documents of viewers. These may be many and are not counted any more, so it takes some of each node in turn, for no
// longer than sweepTime. The next call takes what is left then.
func (f *Listing) Sweep(ctx context.Context, node string) (count int, err error) {
	err = f.do(ctx, "sweep", func(ctx context.Context) error {
		if node != "" {
			f.ledger.forget(node)
			count, err = f.sweepNode(ctx, node)
			return err
		}
		count, err = f.sweepDead(ctx)
		return err
	})
	return count, err
}

// sweepNode removes everything of a node, whether the node lives or not.
func (f *Listing) sweepNode(ctx context.Context, node string) (streams int, err error) {
	s := f.newSweep(node, noGuard)
	if streams, err = s.listed(ctx); err != nil {
		return streams, err
	}
	for more := true; more; {
		if more, err = s.viewers(ctx); err != nil {
			return streams, err
		}
	}
	return streams, nil
}

// sweepDead removes what dead nodes have left. A failure with one node does not stop it for the others.
func (f *Listing) sweepDead(ctx context.Context) (count int, err error) {
	dead, err := f.deadNodes(ctx)
	if err != nil {
		return 0, err
	}
	var failed []error
	var sweeps []*sweep
	succeeded := func(err error) bool {
		if err != nil && !errors.Is(err, errSweepLost) && len(failed) < 3 {
			failed = append(failed, err)
		}
		return err == nil
	}
	for _, name := range dead {
		claimed, err := f.claimSweep(ctx, name)
		if !succeeded(err) || !claimed {
			continue
		}
		s := f.newSweep(name, func(tx *transaction) error { return f.holdsSweep(tx, name) })
		n, err := s.listed(ctx)
		count += n
		if succeeded(err) {
			sweeps = append(sweeps, s)
		}
	}
	for end := time.Now().Add(sweepTime); len(sweeps) > 0 && time.Now().Before(end) && ctx.Err() == nil; {
		next := sweeps[:0]
		for _, s := range sweeps {
			more, err := s.viewers(ctx)
			if succeeded(err) && more {
				next = append(next, s)
			}
		}
		sweeps = next
	}
	return count, errors.Join(failed...)
}

// sweep removes what belongs to one node.
type sweep struct {
	f     *Listing
	node  string
	guard guard
	page  firestore.Query // of the viewers that come next
}

func (f *Listing) newSweep(node string, guard guard) *sweep {
	return &sweep{f: f, node: node, guard: guard, page: f.viewersOf(node)}
}

// viewersOf is the query for the documents of a node's viewers, one batch at a time.
func (f *Listing) viewersOf(node string) firestore.Query {
	viewers := f.client.CollectionGroup("viewers").Where("node", "==", node)
	return viewers.OrderBy(firestore.DocumentID, firestore.Asc).Limit(sweepBatch)
}

// listed makes the streams and broadcasts of the node end.
func (s *sweep) listed(ctx context.Context) (streams int, err error) {
	lease, err := s.f.readNodeLease(ctx, s.node)
	if err != nil {
		return 0, err
	}
	if streams, err = s.f.sweepStreams(ctx, s.node, s.guard, func(fields) bool { return true }); err != nil {
		return streams, err
	}
	return streams, s.f.sweepBroadcasts(ctx, s.node, lease, s.guard, func(siaran.BroadcastID) bool { return true })
}

// viewers removes a batch of viewers, and the node itself with the last one; more says that there may be others.
func (s *sweep) viewers(ctx context.Context) (more bool, err error) {
	snaps, err := s.f.query(ctx, s.page)
	if err == nil {
		err = s.f.waitToDelete(ctx, len(snaps))
	}
	if err != nil {
		return false, fmt.Errorf("viewers: %w", err)
	}
	more = len(snaps) == sweepBatch
	_, err = s.f.transact(ctx, func(tx *transaction) error {
		if err := s.guard(tx); err != nil {
			return err
		}
		for _, snap := range snaps {
			if err := tx.remove(snap.Ref); err != nil {
				return err
			}
		}
		if more {
			return nil
		}
		return errors.Join(tx.remove(s.f.neighbour(s.node)), tx.remove(s.f.node(s.node)))
	})
	if err != nil {
		return false, fmt.Errorf("viewers: %w", err)
	}
	if more {
		s.page = s.page.StartAfter(snaps[len(snaps)-1])
	}
	return more, nil
}

// waitToDelete waits until n documents may be deleted that nobody waits for.
func (f *Listing) waitToDelete(ctx context.Context, n int) error {
	for range n {
		if err := f.sweepLimiter.Wait(ctx); err != nil {
			return err
		}
		if err := f.writeLimiter.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deadNodes returns the nodes without a valid lease, and those that live streams name though they have no document.
func (f *Listing) deadNodes(ctx context.Context) ([]string, error) {
	if names, ok := f.mirror.dead(); ok {
		return names, nil
	}
	alive := f.mirror.own() // our own lease may have run out in an outage; that is the reporter's business
	var dead []string
	snaps, err := f.query(ctx, f.nodes().Query)
	if err != nil {
		return nil, err
	}
	for _, snap := range snaps {
		name := nameOf(snap.Ref.ID)
		alive[name] = alive[name] || f.valid(fields(snap.Data()).time("leaseUntil")) != 0
		if !alive[name] {
			dead = append(dead, name)
		}
	}
	if snaps, err = f.query(ctx, f.streams().Where("status", "in", liveStatuses).Limit(maxLive)); err != nil {
		return nil, err
	}
	for _, snap := range snaps {
		if name := fields(snap.Data()).text("node"); name != "" {
			if _, known := alive[name]; !known {
				alive[name] = false
				dead = append(dead, name)
			}
		}
	}
	return dead, nil
}

var errSweepLost = errors.New("the node is back, or another server sweeps it")

// claimSweep gives this server the right to sweep a dead node. It reports whether no other has it.
func (f *Listing) claimSweep(ctx context.Context, node string) (claimed bool, err error) {
	_, err = f.transact(ctx, func(tx *transaction) error {
		claimed = false
		snap, err := tx.read(f.node(node))
		if err != nil {
			return err
		}
		m := fields(snap.Data())
		now := f.clock.now()
		if f.valid(m.time("leaseUntil")) != 0 || m.text("sweeper") != f.id && m.time("sweepUntil") > live.Micros(now) {
			return nil
		}
		claimed = true
		claim := fields{"sweeper": f.id, "sweepUntil": now.Add(sweepClaim)}
		if err := tx.save(snap, fields{"url": "", "leaseUntil": time.Unix(0, 0)}, claim); err != nil {
			return err
		}
		return tx.remove(f.neighbour(node))
	})
	return claimed, err
}

// holdsSweep returns an error if a node that this server sweeps has come back: what it has written since then stays.
func (f *Listing) holdsSweep(tx *transaction, node string) error {
	snap, err := tx.read(f.node(node))
	if err != nil {
		return err
	}
	if m := fields(snap.Data()); m.text("sweeper") != f.id || f.valid(m.time("leaseUntil")) != 0 {
		return errSweepLost
	}
	return nil
}
