package listing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
)

const (
	sweepBatch    = 250 // documents
	sweepClaim    = 30 * time.Second
	sweepTime     = 8 * time.Second   // at a time, for the viewers of other servers
	sweepsASecond = writesASecond / 2 // documents of viewers: the rest is for those who come and go
)

// Sweep implements siaran.Listing. Of the dead it first takes the streams, all that people see, and then the documents of
// viewers, which may be many and which nobody counts any more: of each node some at a time, and no longer than
// sweepTime. What is left then is for the next call.
func (f *Firestore) Sweep(ctx context.Context, node string) (count int, err error) {
	err = f.do(ctx, "sweep", func(ctx context.Context) error {
		if node != "" {
			f.forget(node)
			count, err = f.sweepNode(ctx, node)
			return err
		}
		count, err = f.sweepDead(ctx)
		return err
	})
	return count, err
}

// sweepNode takes away all that hangs on a node, whether it lives or not.
func (f *Firestore) sweepNode(ctx context.Context, node string) (streams int, err error) {
	s := f.newSweep(node, nobody)
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

// sweepDead has what fails with one node stop none of the others.
func (f *Firestore) sweepDead(ctx context.Context) (count int, err error) {
	dead, err := f.deadNodes(ctx)
	if err != nil {
		return 0, err
	}
	var failed []error
	var sweeps []*sweep
	went := func(err error) bool {
		if err != nil && !errors.Is(err, errBack) && len(failed) < 3 {
			failed = append(failed, err)
		}
		return err == nil
	}
	for _, name := range dead {
		claimed, err := f.claimSweep(ctx, name)
		if !went(err) || !claimed {
			continue
		}
		s := f.newSweep(name, func(tx *transaction) error { return f.stillOurs(tx, name) })
		n, err := s.listed(ctx)
		count += n
		if went(err) {
			sweeps = append(sweeps, s)
		}
	}
	for end := time.Now().Add(sweepTime); len(sweeps) > 0 && time.Now().Before(end) && ctx.Err() == nil; {
		next := sweeps[:0]
		for _, s := range sweeps {
			more, err := s.viewers(ctx)
			if went(err) && more {
				next = append(next, s)
			}
		}
		sweeps = next
	}
	return count, errors.Join(failed...)
}

// sweep takes away what hangs on one node. guard is called in every transaction and stops it by its error.
type sweep struct {
	f     *Firestore
	node  string
	guard func(*transaction) error
	page  firestore.Query // of the viewers that come next
}

func (f *Firestore) newSweep(node string, guard func(*transaction) error) *sweep {
	return &sweep{f: f, node: node, guard: guard, page: f.viewersOf(node)}
}

// viewersOf are the documents of a node's viewers, some at a time.
func (f *Firestore) viewersOf(node string) firestore.Query {
	return f.client.CollectionGroup("viewers").Where("node", "==", node).OrderBy(firestore.DocumentID, firestore.Asc).Limit(sweepBatch)
}

// listed takes away everything but viewers.
func (s *sweep) listed(ctx context.Context) (streams int, err error) {
	lease, err := s.f.readNodeLease(ctx, s.node)
	if err != nil {
		return 0, err
	}
	if streams, err = s.f.sweepStreams(ctx, s.node, s.guard, all); err != nil {
		return streams, err
	}
	if err := s.f.sweepBroadcasts(ctx, s.node, lease, s.guard, func(siaran.BroadcastID) bool { return true }); err != nil {
		return streams, err
	}
	return streams, s.f.sweepCounts(ctx, s.node, s.guard, all)
}

// viewers takes some viewers away, and the node itself after the last of them; more tells that there may be others.
func (s *sweep) viewers(ctx context.Context) (more bool, err error) {
	snaps, err := s.f.query(ctx, s.page)
	if err == nil {
		err = s.f.leaveRoom(ctx, len(snaps))
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
		return tx.remove(s.f.node(s.node))
	})
	if err != nil {
		return false, fmt.Errorf("viewers: %w", err)
	}
	if more {
		s.page = s.page.StartAfter(snaps[len(snaps)-1])
	}
	return more, nil
}

// leaveRoom waits until n documents that nobody waits for may be taken away.
func (f *Firestore) leaveRoom(ctx context.Context, n int) error {
	for range n {
		if err := f.broom.Wait(ctx); err != nil {
			return err
		}
		if err := f.pace.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deadNodes are those without a valid lease, and those that something live hangs on though nobody has heard of them.
func (f *Firestore) deadNodes(ctx context.Context) ([]string, error) {
	if names, ok := f.mirror.dead(); ok {
		return names, nil
	}
	alive := f.mirror.own() // whose lease may have run out in an outage, and who sees to it
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

var errBack = errors.New("the node is back, or another server sweeps it")

// claimSweep makes us the one who sweeps a dead node.
func (f *Firestore) claimSweep(ctx context.Context, node string) (claimed bool, err error) {
	_, err = f.transact(ctx, func(tx *transaction) error {
		claimed = false
		snap, err := tx.read(f.node(node))
		if err != nil {
			return err
		}
		m := fields(snap.Data())
		now := f.clock.now()
		if f.valid(m.time("leaseUntil")) != 0 || m.text("sweeper") != f.id && m.time("sweepUntil") > micros(now) {
			return nil
		}
		claimed = true
		claim := fields{"sweeper": f.id, "sweepUntil": now.Add(sweepClaim)}
		if snap.Exists() {
			return tx.update(f.node(node), claim)
		}
		claim["url"], claim["leaseUntil"] = "", time.Unix(0, 0)
		return tx.create(f.node(node), claim)
	})
	return claimed, err
}

// stillOurs fails when a node under the sweep has come back: whatever it has written since stays.
func (f *Firestore) stillOurs(tx *transaction, node string) error {
	snap, err := tx.read(f.node(node))
	if err != nil {
		return err
	}
	if m := fields(snap.Data()); m.text("sweeper") != f.id || f.valid(m.time("leaseUntil")) != 0 {
		return errBack
	}
	return nil
}
