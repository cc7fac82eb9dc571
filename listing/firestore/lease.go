package firestore

import (
	"context"
	"maps"
	"time"

	"siaran"
	"siaran/listing/internal/live"
)

// Renew implements siaran.Listing. The lease is written in the database's time, into a document that the other servers
// do not listen to. They listen to what the server says of itself, which is written when it is news.
func (f *Listing) Renew(ctx context.Context, node siaran.Node) error {
	return f.do(ctx, "renew the lease", func(ctx context.Context) error {
		until := f.clock.translate(node.LeaseUntil)
		back := !until.After(f.clock.now())
		if back {
			until = time.Unix(0, 0) // so readers must not add a margin
		}
		told := fields{"leaseUntil": until}
		putNode(node, told)
		lease := maps.Clone(told)
		lease["process"], lease[rightsField] = f.id, true // an older server says neither
		sent := time.Now()
		at, err := f.writeLease(ctx, node, lease, told, back)
		if err != nil {
			return err
		}
		f.clock.observe(at, sent)
		f.warnOfClock()
		f.mirror.expectLease(node.Name, fields{"leaseUntil": until}.time("leaseUntil"), at)
		return nil
	})
}

// writeLease writes a lease, and what others are told if that is news. A server that gives its lease back is no
// neighbour any more.
func (f *Listing) writeLease(ctx context.Context, node siaran.Node, lease, told fields, back bool) (time.Time, error) {
	ref, neighbour := f.node(node.Name), f.neighbour(node.Name)
	if !back && !f.mirror.isNews(node) {
		result, err := ref.Set(ctx, map[string]any(lease))
		if err != nil {
			return time.Time{}, err
		}
		f.stats.writes.Add(1)
		return result.UpdateTime, nil
	}
	return f.transact(ctx, func(tx *transaction) error {
		if err := tx.set(ref, lease); err != nil {
			return err
		}
		if back {
			return tx.remove(neighbour)
		}
		return tx.set(neighbour, told)
	})
}

// Node implements siaran.Listing. It answers from memory while the database can be reached.
func (f *Listing) Node(ctx context.Context, name string) (node siaran.Node, err error) {
	err = f.serve(ctx, "read a server", func(ctx context.Context) error {
		n, lease, ok := f.mirror.node(name)
		if !ok {
			err := f.asking(ctx, func(ctx context.Context) error {
				snap, err := f.get(ctx, f.node(name))
				if err == nil {
					n, lease = readNodeDocument(name, snap.Data()), fields(snap.Data()).time("leaseUntil")
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		if f.valid(lease) == 0 {
			return siaran.ErrUnknownNode
		}
		node = n
		node.LeaseUntil = live.FromMicros(lease)
		return nil
	})
	return node, err
}

// warnOfClock warns once that this machine's clock is wrong. Leases do not depend on it, but the times that people see
// do.
func (f *Listing) warnOfClock() {
	if d := f.clock.difference(); d.Abs() > leaseMargin && f.clock.fixed == nil {
		f.clockWarning.Do(func() {
			f.log.Warn("this machine's clock is wrong: set it by the network (NTP)", "ahead", d.Round(time.Millisecond))
		})
	}
}
