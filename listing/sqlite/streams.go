package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"siaran"
	"siaran/listing/internal/live"
)

// selectStreams takes :now.
const selectStreams = `SELECT s.name, s.title, s.description, s.owner, s.visibility, s.key_generation,
	s.status, s.node, s.broadcast, s.started_at, s.media, s.viewers, s.updated_at, coalesce(n.lease_until, 0), s.removed,
	s.max_viewers, s.embed_sites
	FROM streams s LEFT JOIN nodes n ON n.name = s.node AND s.status <> 'offline' AND n.lease_until > :now `

const (
	isLive    = `(s.status <> 'offline' AND n.name IS NOT NULL)`
	liveFirst = ` ORDER BY n.name IS NULL, CASE WHEN n.name IS NULL THEN 0 ELSE s.started_at END DESC, s.name `
)

// streamByName takes :name as well.
const streamByName = selectStreams + `WHERE s.name = :name`

type scanner interface{ Scan(dest ...any) error }

func scanStream(s scanner) (live.Row, error) {
	var r live.Row
	var started, updated int64
	var tracks string
	err := s.Scan(&r.Name, &r.Title, &r.Description, &r.Owner, &r.Visibility, &r.KeyGeneration,
		&r.Status, &r.Node, &r.BroadcastID, &started, &tracks, &r.Viewers, &updated, &r.LeaseUntil, &r.Removed,
		&r.MaxViewers, &r.EmbedSites)
	if err != nil {
		return live.Row{}, err
	}
	r.StartedAt, r.UpdatedAt = live.FromMicros(started), live.FromMicros(updated)
	if r.LeaseUntil != 0 {
		var m media
		m, err = parseMedia(tracks)
		r.Video, r.Audio, r.Layers = m.Video, m.Audio, m.Layers
	}
	return r, err
}

// media is the JSON in which tracks are stored.
type media struct {
	Video  *siaran.VideoState  `json:"video,omitempty"`
	Audio  *siaran.AudioState  `json:"audio,omitempty"`
	Layers []siaran.LayerState `json:"layers,omitempty"`
}

func parseMedia(text string) (media, error) {
	var m media
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return media{}, fmt.Errorf("%w (the description of a stream's tracks cannot be read: %w)", errDamaged, err)
	}
	return m, nil
}

func (m media) String() string {
	text, _ := json.Marshal(m) // strings and numbers only
	return string(text)
}

// Stream implements siaran.Listing.
func (s *Listing) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	stream, err := readStream(s.byName.QueryRowContext(ctx, s.named(name)...))
	if err != nil {
		return stream, s.explain("read a stream", err)
	}
	return stream, nil
}

// named returns the arguments of streamByName.
func (s *Listing) named(name siaran.StreamName) []any {
	return []any{sql.Named("now", live.Micros(s.now())), sql.Named("name", string(name))}
}

func readStream(found *sql.Row) (siaran.Stream, error) {
	row, err := scanStream(found)
	if errors.Is(err, sql.ErrNoRows) {
		return siaran.Stream{}, siaran.ErrUnknownStream
	}
	if err != nil {
		return siaran.Stream{}, err
	}
	if row.Removed {
		return row.Remains(), siaran.ErrUnknownStream
	}
	return row.View(), nil
}

// Streams implements siaran.Listing.
func (s *Listing) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	query := selectStreams + `WHERE NOT s.removed AND (:private OR s.visibility = 'public')`
	if q.Owner != "" {
		query += ` AND s.owner = :owner`
	}
	if !q.All {
		query += ` AND ` + isLive
	}
	rows, err := selectRows(ctx, s.reader, scanStream, query+liveFirst+`LIMIT :limit`,
		sql.Named("now", live.Micros(s.now())), sql.Named("private", q.Private), sql.Named("owner", q.Owner),
		sql.Named("limit", live.Limit(q.Limit)))
	if err != nil {
		return nil, s.explain("read the streams", err)
	}
	list := make([]siaran.Stream, len(rows))
	for i, row := range rows {
		list[i] = row.Listed(q)
	}
	return list, nil
}

func selectRows[T any](ctx context.Context, db *sql.DB, scan func(scanner) (T, error), query string, args ...any,
) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

// ensureStream creates a stream if it does not exist.
func ensureStream(ctx context.Context, tx *sql.Tx, name siaran.StreamName, now int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO streams (name, updated_at) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		string(name), now)
	return err
}

// beginStream is ensureStream for callers that may use the name of a deleted stream again: the stream is new except for
// its key generation.
func beginStream(ctx context.Context, tx *sql.Tx, name siaran.StreamName, now int64) error {
	if err := ensureStream(ctx, tx, name, now); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE streams SET removed = 0, visibility = 'public', updated_at = ?
		WHERE name = ? AND removed`, now, string(name))
	return err
}

// Edit implements siaran.Listing.
func (s *Listing) Edit(ctx context.Context, name siaran.StreamName, edit siaran.StreamEdit) (siaran.Stream, error) {
	var stream siaran.Stream
	err := s.write(ctx, "edit a stream", func(tx *sql.Tx) error {
		now := live.Micros(s.now())
		if err := beginStream(ctx, tx, name, now); err != nil {
			return err
		}
		// Right of = are the values from before.
		_, err := tx.ExecContext(ctx, `UPDATE streams SET title = coalesce(:title, title),
			description = coalesce(:description, description),
			visibility = coalesce(:visibility, visibility), owner = coalesce(:owner, owner),
			max_viewers = coalesce(:most, max_viewers), embed_sites = coalesce(:sites, embed_sites),
			key_generation = key_generation + (coalesce(:owner, owner) <> owner), updated_at = :now WHERE name = :name`,
			sql.Named("title", edit.Title), sql.Named("description", edit.Description),
			sql.Named("visibility", (*string)(edit.Visibility)),
			sql.Named("most", edit.MaxViewers), sql.Named("sites", (*string)(edit.EmbedSites)),
			sql.Named("owner", edit.Owner), sql.Named("now", now), sql.Named("name", string(name)))
		if err != nil {
			return err
		}
		stream, err = readStream(tx.QueryRowContext(ctx, streamByName, s.named(name)...))
		return err
	})
	return stream, err
}

// RotateKeys implements siaran.Listing.
func (s *Listing) RotateKeys(ctx context.Context, name siaran.StreamName) (generation int, err error) {
	err = s.write(ctx, "rotate the keys of a stream", func(tx *sql.Tx) error {
		now := live.Micros(s.now())
		if err := beginStream(ctx, tx, name, now); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `UPDATE streams SET key_generation = key_generation + 1, updated_at = ?
			WHERE name = ? RETURNING key_generation`, now, string(name)).Scan(&generation)
	})
	return generation, err
}

// Delete implements siaran.Listing. The row that is left is private until the name is used again.
func (s *Listing) Delete(ctx context.Context, name siaran.StreamName) error {
	return s.write(ctx, "delete a stream", func(tx *sql.Tx) error {
		stream, err := readStream(tx.QueryRowContext(ctx, streamByName, s.named(name)...))
		if err != nil {
			return err
		}
		if stream.Status != siaran.StatusOffline {
			return siaran.ErrStreamLive
		}
		_, err = tx.ExecContext(ctx, setOffline+`title = '', description = '', owner = '', visibility = 'private',
			max_viewers = 0, embed_sites = '', key_generation = key_generation + 1, removed = 1, updated_at = ?
			WHERE name = ?`, live.Micros(s.now()), string(name))
		if err != nil {
			return err
		}
		for _, table := range []string{"broadcasts", "viewers"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE stream = ?`, string(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Claim implements siaran.Listing.
func (s *Listing) Claim(ctx context.Context, name siaran.StreamName, node, owner string, most int) error {
	return s.write(ctx, "claim a stream", func(tx *sql.Tx) error {
		if err := beginStream(ctx, tx, name, live.Micros(s.now())); err != nil {
			return err
		}
		stream, err := readStream(tx.QueryRowContext(ctx, streamByName, s.named(name)...))
		if err != nil {
			return err
		}
		if err := live.CheckClaim(stream, node, owner); err != nil || owner == "" || stream.Owner == owner {
			return err
		}
		var kept int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM streams WHERE owner = ?`, owner).Scan(&kept); err != nil {
			return err
		}
		if most > 0 && kept >= most {
			return siaran.ErrTooManyNames
		}
		_, err = tx.ExecContext(ctx, `UPDATE streams SET owner = ? WHERE name = ?`, owner, string(name))
		return err
	})
}
