package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"siaran"
	"siaran/listing/internal/live"
)

// Renew implements siaran.Listing.
func (s *Listing) Renew(ctx context.Context, node siaran.Node) error {
	return s.write(ctx, "renew the lease", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO nodes (name, url, lease_until, viewers) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET url = excluded.url, lease_until = excluded.lease_until, viewers = excluded.viewers`,
			node.Name, node.URL, live.Micros(node.LeaseUntil), node.Viewers)
		return err
	})
}

// Node implements siaran.Listing.
func (s *Listing) Node(ctx context.Context, name string) (siaran.Node, error) {
	n := siaran.Node{Name: name}
	var lease int64
	err := s.reader.QueryRowContext(ctx, `SELECT url, lease_until, viewers FROM nodes WHERE name = ? AND lease_until > ?`,
		name, live.Micros(s.now())).Scan(&n.URL, &lease, &n.Viewers)
	if errors.Is(err, sql.ErrNoRows) {
		err = siaran.ErrUnknownNode
	}
	if err != nil {
		return siaran.Node{}, s.explain("read a server", err)
	}
	n.LeaseUntil = live.FromMicros(lease)
	return n, nil
}

// swept selects what belongs to :node, or if that is empty, to any node without a valid lease.
const swept = `CASE WHEN :node <> '' THEN node = :node
	ELSE NOT EXISTS (SELECT 1 FROM nodes n WHERE n.name = node AND n.lease_until > :now) END`

// lastSign is when a broadcast's node was last known to be alive.
const lastSign = `max(started_at, min(:now,
	coalesce((SELECT n.lease_until FROM nodes n WHERE n.name = node), updated_at)))`

// Sweep implements siaran.Listing.
func (s *Listing) Sweep(ctx context.Context, node string) (count int, err error) {
	err = s.write(ctx, "sweep", func(tx *sql.Tx) error {
		now := live.Micros(s.now())
		args := []any{sql.Named("node", node), sql.Named("now", now)}
		_, err := tx.ExecContext(ctx, `UPDATE broadcasts SET status = 'offline', end_reason = 'crashed', viewers = 0,
			ended_at = `+lastSign+` WHERE ended_at = 0 AND `+swept, args...)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, setOffline+`updated_at = :now WHERE status <> 'offline' AND `+swept, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		count = int(n)
		if _, err := tx.ExecContext(ctx, `DELETE FROM viewers WHERE `+swept, args...); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM nodes
			WHERE CASE WHEN :node <> '' THEN name = :node ELSE lease_until <= :now END`, args...)
		return err
	})
	return count, err
}
