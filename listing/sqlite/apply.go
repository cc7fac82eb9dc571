package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"siaran"
	"siaran/listing/internal/live"
)

// Apply implements siaran.Listing.
func (s *Listing) Apply(ctx context.Context, u siaran.Update) error {
	if len(u.Changes) == 0 {
		return nil
	}
	return s.write(ctx, "write what has changed", func(tx *sql.Tx) error {
		now := s.now()
		at := u.At
		if at.IsZero() {
			at = now
		}
		a := applier{ctx: ctx, tx: tx, node: u.Node, at: live.Micros(at), now: live.Micros(now)}
		for _, c := range u.Changes {
			if err := a.change(c); err != nil {
				return err
			}
		}
		return nil
	})
}

// applier writes one update in one transaction.
type applier struct {
	ctx     context.Context
	tx      *sql.Tx
	node    string
	at, now int64
}

func (a *applier) exec(query string, args ...any) (int64, error) {
	result, err := a.tx.ExecContext(a.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (a *applier) change(c siaran.Change) error {
	if c.State.Status == siaran.StatusOffline {
		c.State.Viewers = 0
	}
	if err := ensureStream(a.ctx, a.tx, c.State.Stream, a.at); err != nil {
		return err
	}
	if c.State.Status == siaran.StatusOffline {
		if removed, err := a.removed(c.State.Stream); err != nil || removed {
			return err
		}
	}
	known, err := a.broadcast(c.State)
	if err != nil || !known {
		return err
	}
	if c.State.Status == siaran.StatusOffline {
		return a.end(c.State)
	}
	if err := a.live(c.State); err != nil {
		return err
	}
	return a.viewers(c)
}

// removed reports whether the stream was deleted. The end of a broadcast before that does not matter any more.
func (a *applier) removed(name siaran.StreamName) (removed bool, err error) {
	err = a.tx.QueryRowContext(a.ctx, `SELECT removed FROM streams WHERE name = ?`, string(name)).Scan(&removed)
	return removed, err
}

// broadcast writes the broadcast to the history, and reports whether the change is news: a broadcast that has ended
// stays so, except one that a sweep or its server's end has ended and whose node says that it lives.
func (a *applier) broadcast(b siaran.BroadcastState) (news bool, err error) {
	m := media{b.Video, b.Audio, b.Layers}
	n, err := a.exec(`INSERT INTO broadcasts (id, stream, node, owner, status, started_at, ended_at, end_reason, media,
			viewers, peak_viewers, total_viewers, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET node = excluded.node, owner = excluded.owner, status = excluded.status,
			started_at = excluded.started_at, ended_at = excluded.ended_at, end_reason = excluded.end_reason,
			media = excluded.media, viewers = excluded.viewers, peak_viewers = excluded.peak_viewers,
			total_viewers = excluded.total_viewers, updated_at = excluded.updated_at
		WHERE ended_at = 0 OR end_reason IN ('crashed', 'shutdown') OR excluded.ended_at <> 0`,
		string(b.ID), string(b.Stream), a.node, b.Owner, string(b.Status), live.Micros(b.StartedAt), a.endedAt(b),
		string(b.EndReason), m.String(), b.Viewers, b.PeakViewers, b.TotalViewers, a.at)
	if err != nil {
		return false, fmt.Errorf("broadcast %s: %w", b.ID, err)
	}
	return n > 0, nil
}

func (a *applier) endedAt(b siaran.BroadcastState) int64 {
	if b.Status == siaran.StatusOffline && b.EndedAt.IsZero() {
		return a.at
	}
	return live.Micros(b.EndedAt)
}

// setOffline clears what only live streams have.
const setOffline = `UPDATE streams SET status = 'offline', node = '', broadcast = '', started_at = 0, media = '{}',
	viewers = 0, `

func (a *applier) end(b siaran.BroadcastState) error {
	_, err := a.exec(setOffline+`updated_at = ? WHERE name = ? AND broadcast = ?`, a.at, string(b.Stream), string(b.ID))
	if err != nil {
		return err
	}
	if _, err := a.exec(`DELETE FROM viewers WHERE broadcast = ?`, string(b.ID)); err != nil {
		return err
	}
	_, err = a.exec(`DELETE FROM broadcasts WHERE ended_at <> 0 AND rowid IN
		(SELECT rowid FROM broadcasts WHERE stream = ? ORDER BY started_at DESC LIMIT -1 OFFSET ?)`,
		string(b.Stream), maxHistory)
	return err
}

// live makes the stream show the broadcast, unless it shows a newer one that is live on another node.
func (a *applier) live(b siaran.BroadcastState) error {
	_, err := a.exec(`UPDATE streams SET status = ?, node = ?, broadcast = ?, started_at = ?, media = ?, viewers = ?,
			updated_at = ?, removed = 0
		WHERE name = ? AND (status = 'offline' OR broadcast = ? OR started_at <= ?
			OR NOT EXISTS (SELECT 1 FROM nodes n WHERE n.name = streams.node AND n.lease_until > ?))`,
		string(b.Status), a.node, string(b.ID), live.Micros(b.StartedAt), media{b.Video, b.Audio, b.Layers}.String(),
		b.Viewers, a.at, string(b.Stream), string(b.ID), live.Micros(b.StartedAt), a.now)
	return err
}

func (a *applier) viewers(c siaran.Change) error {
	if len(c.Joined) > 0 {
		insert, err := a.tx.PrepareContext(a.ctx, `INSERT OR REPLACE INTO viewers
			(broadcast, id, stream, node, joined_at, path) VALUES (?, ?, ?, ?, ?, ?)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, v := range c.Joined {
			_, err := insert.ExecContext(a.ctx, string(c.State.ID), string(v.ID), string(c.State.Stream), a.node,
				live.Micros(v.JoinedAt), v.Path)
			if err != nil {
				return err
			}
		}
	}
	if len(c.Left) > 0 {
		remove, err := a.tx.PrepareContext(a.ctx, `DELETE FROM viewers WHERE broadcast = ? AND id = ?`)
		if err != nil {
			return err
		}
		defer remove.Close()
		for _, id := range c.Left {
			if _, err := remove.ExecContext(a.ctx, string(c.State.ID), string(id)); err != nil {
				return err
			}
		}
	}
	return nil
}
