package firestore

import (
	"context"
	"time"

	"siaran"
	"siaran/listing/internal/live"
)

// Renew implements siaran.Listing. The lease is written in the database's time.
func (f *Listing) Renew(ctx context.Context, node siaran.Node) error {
	return f.do(ctx, "renew the lease", func(ctx context.Context) error {
		until := f.clock.translate(node.LeaseUntil)
		if !until.After(f.clock.now()) {
			until = time.Unix(0, 0) // given back, so readers must not add a margin
		}
		sent := time.Now()
		result, err := f.node(node.Name).Set(ctx, map[string]any{
			"url": node.URL, "leaseUntil": until, "load": map[string]any{"viewers": node.Viewers, "use": node.Use},
			"region": node.Region, "capacity": node.Capacity, "draining": node.Draining,
			rightsField: true, // an older server does not say so
		})
		if err != nil {
			return err
		}
		f.stats.writes.Add(1)
		f.clock.observe(result.UpdateTime, sent)
		f.warnOfClock()
		f.mirror.expectLease(node.Name, fields{"leaseUntil": until}.time("leaseUntil"))
		return nil
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
