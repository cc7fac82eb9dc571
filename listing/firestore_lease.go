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
	sweepBatch = 250 // documents
	sweepClaim = 30 * time.Second
	sweepTime  = 1500 * time.Millisecond // at a time, for other servers: ours has more to write
)

// Renew implements siaran.Listing. The lease is written in the database's time.
func (f *Firestore) Renew(ctx context.Context, node siaran.Node) error {
	return f.do(ctx, "renew the lease", func(ctx context.Context) error {
		until := f.clock.translate(node.LeaseUntil)
		if !until.After(f.clock.now()) {
			until = time.Unix(0, 0) // given back: no margin is due
		}
		if f.presence == PresenceOff {
			node.Viewers = 0
		}
		sent := time.Now()
		result, err := f.node(node.Name).Set(ctx, map[string]any{
			"url": node.URL, "leaseUntil": until, "load": map[string]any{"viewers": node.Viewers},
		})
		if err != nil {
			return err
		}
		f.stats.writes.Add(1)
		f.clock.observe(result.UpdateTime, sent)
		f.warnOfClock()
		f.mirror.expect(node.Name, fields{"leaseUntil": until}.time("leaseUntil"))
		return nil
	})
}

// Node implements siaran.Listing. Servers are in memory, as long as the database is in touch.
func (f *Firestore) Node(ctx context.Context, name string) (node siaran.Node, err error) {
	err = f.do(ctx, "read a server", func(ctx context.Context) error {
		n, lease, ok := f.mirror.node(name)
		if !ok {
			snap, err := f.get(ctx, f.node(name))
			if err != nil {
				return err
			}
			n, lease = readNodeDocument(name, snap.Data()), fields(snap.Data()).time("leaseUntil")
		}
		if f.valid(lease) == 0 {
			return siaran.ErrUnknownNode
		}
		node = n
		node.LeaseUntil = fromMicros(lease)
		return nil
	})
	return node, err
}

// warnOfClock says once that this machine's clock is wrong. Leases do not hang on it, but what people are shown does.
func (f *Firestore) warnOfClock() {
	if d := f.clock.difference(); d.Abs() > leaseMargin && f.clock.fixed == nil {
		f.clockWarning.Do(func() {
			f.log.Warn("this machine's clock is wrong: have it set by the network", "ahead by", d.Round(time.Millisecond))
		})
	}
}

// Sweep implements siaran.Listing.
func (f *Firestore) Sweep(ctx context.Context, node string) (count int, err error) {
	err = f.do(ctx, "sweep", func(ctx context.Context) error {
		if node != "" {
			f.forget(node)
			count, err = f.sweepNode(ctx, node, func(*transaction) error { return nil })
			return err
		}
		dead, err := f.deadNodes(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		for _, name := range dead {
			claimed, err := f.claimSweep(ctx, name)
			if err != nil {
				return err
			}
			if !claimed {
				continue
			}
			n, err := f.sweepNode(ctx, name, func(tx *transaction) error {
				if time.Since(began) > sweepTime {
					return errLater
				}
				return f.stillOurs(tx, name)
			})
			count += n
			switch {
			case errors.Is(err, errLater):
				return nil
			case errors.Is(err, errBack):
			case err != nil:
				return err
			}
		}
		return nil
	})
	return count, err
}

// deadNodes are those without a valid lease, and those that something live hangs on though nobody has heard of them.
func (f *Firestore) deadNodes(ctx context.Context) ([]string, error) {
	if names, ok := f.mirror.dead(); ok {
		return names, nil
	}
	alive := make(map[string]bool)
	var dead []string
	snaps, err := f.query(ctx, f.nodes().Query)
	if err != nil {
		return nil, err
	}
	for _, snap := range snaps {
		name := nameOf(snap.Ref.ID)
		alive[name] = f.valid(fields(snap.Data()).time("leaseUntil")) != 0
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

var (
	errBack  = errors.New("the node is back, or another server sweeps it")
	errLater = errors.New("the sweep goes on with the next call")
)

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

// sweepNode takes away all that hangs on a node, in batches, and the node in the end. guard is called in every
// transaction and stops it by its error.
func (f *Firestore) sweepNode(ctx context.Context, node string, guard func(*transaction) error) (streams int, err error) {
	lease, err := f.readNodeLease(ctx, node)
	if err != nil {
		return 0, err
	}
	if streams, err = f.sweepStreams(ctx, node, guard, all); err != nil {
		return streams, err
	}
	if err := f.sweepBroadcasts(ctx, node, lease, guard, func(siaran.BroadcastID) bool { return true }); err != nil {
		return streams, err
	}
	err = f.batches(ctx, f.client.CollectionGroup("viewers").Where("node", "==", node), guard, func(tx *transaction, snap *firestore.DocumentSnapshot) error {
		return tx.remove(snap.Ref)
	})
	if err != nil {
		return streams, fmt.Errorf("viewers: %w", err)
	}
	if err := f.sweepCounts(ctx, node, guard, all); err != nil {
		return streams, err
	}
	_, err = f.transact(ctx, func(tx *transaction) error {
		if err := guard(tx); err != nil {
			return err
		}
		return tx.remove(f.node(node))
	})
	return streams, err
}

func all(fields) bool { return true }

// sweepBroadcasts ends those in the history that were left running.
func (f *Firestore) sweepBroadcasts(ctx context.Context, node string, lease int64, guard func(*transaction) error, gone func(siaran.BroadcastID) bool) error {
	running := f.client.CollectionGroup("broadcasts").Where("node", "==", node).Where("endedAt", "==", nil)
	err := f.batches(ctx, running, guard, func(tx *transaction, snap *firestore.DocumentSnapshot) error {
		if !gone(siaran.BroadcastID(nameOf(snap.Ref.ID))) {
			return nil
		}
		now := f.clock.now()
		ended := lastSignOf(snap.Data(), lease, now)
		return tx.update(snap.Ref, fields{
			"status": string(siaran.StatusOffline), "reason": string(siaran.EndCrashed), "endedAt": ended,
			"updatedAt": now, "expireAt": ended.Add(historyKept),
		})
	})
	if err != nil {
		return fmt.Errorf("broadcasts: %w", err)
	}
	return nil
}

// sweepCounts takes away what a node counted of other nodes' streams.
func (f *Firestore) sweepCounts(ctx context.Context, node string, guard func(*transaction) error, gone func(fields) bool) error {
	err := f.batches(ctx, f.client.CollectionGroup("nodes").Where("node", "==", node), guard, func(tx *transaction, snap *firestore.DocumentSnapshot) error {
		if snap.Ref.Parent.Parent == nil || !gone(snap.Data()) {
			return nil
		}
		return tx.remove(snap.Ref)
	})
	if err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	return nil
}

func (f *Firestore) readNodeLease(ctx context.Context, node string) (int64, error) {
	snap, err := f.get(ctx, f.node(node))
	if err != nil {
		return 0, err
	}
	return fields(snap.Data()).time("leaseUntil"), nil
}

// sweepStreams makes those streams of a node offline that gone tells.
func (f *Firestore) sweepStreams(ctx context.Context, node string, guard func(*transaction) error, gone func(fields) bool) (count int, err error) {
	swept := 0
	err = f.pages(ctx, f.streams().Where("node", "==", node), sweepBatch/2, func(snaps []*firestore.DocumentSnapshot) error {
		refs := make([]*firestore.DocumentRef, len(snaps))
		for i, snap := range snaps {
			refs[i] = snap.Ref
		}
		_, err := f.transact(ctx, func(tx *transaction) error {
			swept = 0
			if err := guard(tx); err != nil {
				return err
			}
			now, err := tx.readAll(refs)
			if err != nil {
				return err
			}
			for _, snap := range now {
				if m := fields(snap.Data()); m.text("node") == node && gone(m) {
					gone := offlineFields()
					gone["updatedAt"] = f.clock.now()
					if err := tx.update(snap.Ref, gone); err != nil {
						return err
					}
					swept++
				}
			}
			return nil
		})
		if err == nil {
			count += swept
		}
		return err
	})
	if err != nil {
		return count, fmt.Errorf("streams: %w", err)
	}
	return count, nil
}

// batches calls edit for all that q finds, some in each transaction.
func (f *Firestore) batches(ctx context.Context, q firestore.Query, guard func(*transaction) error, edit func(*transaction, *firestore.DocumentSnapshot) error) error {
	return f.pages(ctx, q, sweepBatch, func(snaps []*firestore.DocumentSnapshot) error {
		_, err := f.transact(ctx, func(tx *transaction) error {
			if err := guard(tx); err != nil {
				return err
			}
			for _, snap := range snaps {
				if err := edit(tx, snap); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
}

// pages calls do for all that q finds, at most size at a time, in the order of their names: what is left as it
// is must not stand before what comes behind it.
func (f *Firestore) pages(ctx context.Context, q firestore.Query, size int, do func([]*firestore.DocumentSnapshot) error) error {
	q = q.OrderBy(firestore.DocumentID, firestore.Asc).Limit(size)
	for page := q; ; {
		snaps, err := f.query(ctx, page)
		if err != nil || len(snaps) == 0 {
			return err
		}
		if err := do(snaps); err != nil {
			return err
		}
		if len(snaps) < size {
			return nil
		}
		page = q.StartAfter(snaps[len(snaps)-1])
	}
}
