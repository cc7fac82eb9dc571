package listing

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"siaran"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// streamRow is a stream as it stands in the database; two can be compared with ==.
type streamRow struct {
	Name, Title, Description, Owner, Visibility string
	KeyGeneration                               int
	Status, Node, Broadcast                     string
	StartedAt                                   int64
	Media                                       string
	Viewers                                     int
	UpdatedAt                                   int64
	LeaseUntil                                  int64 // 0 when the node has no valid lease
}

// selectStreams wants :now.
const selectStreams = `SELECT s.name, s.title, s.description, s.owner, s.visibility, s.key_generation,
	s.status, s.node, s.broadcast, s.started_at, s.media, s.viewers, s.updated_at, coalesce(n.lease_until, 0)
	FROM streams s LEFT JOIN nodes n ON n.name = s.node AND s.status <> 'offline' AND n.lease_until > :now `

const (
	isLive    = `(s.status <> 'offline' AND n.name IS NOT NULL)`
	liveFirst = ` ORDER BY n.name IS NULL, CASE WHEN n.name IS NULL THEN 0 ELSE s.started_at END DESC, s.name `
)

// streamByName wants :name besides.
const streamByName = selectStreams + `WHERE s.name = :name`

type scanner interface{ Scan(dest ...any) error }

func scanStream(s scanner) (streamRow, error) {
	var r streamRow
	err := s.Scan(&r.Name, &r.Title, &r.Description, &r.Owner, &r.Visibility, &r.KeyGeneration,
		&r.Status, &r.Node, &r.Broadcast, &r.StartedAt, &r.Media, &r.Viewers, &r.UpdatedAt, &r.LeaseUntil)
	return r, err
}

// stream is what readers get; what is not live has none of what only live streams have.
func (r streamRow) stream() (siaran.Stream, error) {
	s := siaran.Stream{
		Name: siaran.StreamName(r.Name), Title: r.Title, Description: r.Description, Owner: r.Owner,
		Visibility: siaran.Visibility(r.Visibility), KeyGeneration: r.KeyGeneration,
		Status: siaran.StatusOffline, UpdatedAt: fromMicros(r.UpdatedAt),
	}
	if r.LeaseUntil == 0 {
		return s, nil
	}
	s.Status, s.Node, s.BroadcastID = siaran.Status(r.Status), r.Node, siaran.BroadcastID(r.Broadcast)
	s.StartedAt, s.Viewers = fromMicros(r.StartedAt), r.Viewers
	m, err := parseMedia(r.Media)
	s.Video, s.Audio, s.Layers = m.Video, m.Audio, m.Layers
	return s, err
}

// media is the JSON in which tracks are kept.
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
func (s *SQLite) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	stream, err := readStream(s.byName.QueryRowContext(ctx, s.named(name)...))
	if err != nil {
		return siaran.Stream{}, s.explain("read a stream", err)
	}
	return stream, nil
}

// named are the arguments of streamByName.
func (s *SQLite) named(name siaran.StreamName) []any {
	return []any{sql.Named("now", micros(s.now())), sql.Named("name", string(name))}
}

func readStream(found *sql.Row) (siaran.Stream, error) {
	row, err := scanStream(found)
	if errors.Is(err, sql.ErrNoRows) {
		return siaran.Stream{}, siaran.ErrUnknownStream
	}
	if err != nil {
		return siaran.Stream{}, err
	}
	return row.stream()
}

// Streams implements siaran.Listing.
func (s *SQLite) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	query := selectStreams + `WHERE (:private OR s.visibility = 'public') AND (:owner = '' OR s.owner = :owner)`
	if !q.All {
		query += ` AND ` + isLive
	}
	rows, err := selectRows(ctx, s.reader, scanStream, query+liveFirst+`LIMIT :limit`, sql.Named("now", micros(s.now())),
		sql.Named("private", q.Private), sql.Named("owner", q.Owner), sql.Named("limit", bounded(q.Limit)))
	if err != nil {
		return nil, s.explain("read the streams", err)
	}
	list := make([]siaran.Stream, len(rows))
	for i, row := range rows {
		if list[i], err = row.stream(); err != nil {
			return nil, s.explain("read the streams", err)
		}
	}
	return list, nil
}

func bounded(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return min(limit, maxLimit)
}

func selectRows[T any](ctx context.Context, db *sql.DB, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
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

// ensureStream creates a stream that is not there.
func ensureStream(ctx context.Context, tx *sql.Tx, name siaran.StreamName, now int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO streams (name, updated_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, string(name), now)
	return err
}

// Edit implements siaran.Listing.
func (s *SQLite) Edit(ctx context.Context, name siaran.StreamName, edit siaran.StreamEdit) (stream siaran.Stream, err error) {
	err = s.write(ctx, "edit a stream", func(tx *sql.Tx) error {
		now := micros(s.now())
		if err := ensureStream(ctx, tx, name, now); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE streams SET title = coalesce(?, title), description = coalesce(?, description),
			visibility = coalesce(?, visibility), owner = coalesce(?, owner), updated_at = ? WHERE name = ?`,
			edit.Title, edit.Description, (*string)(edit.Visibility), edit.Owner, now, string(name))
		if err != nil {
			return err
		}
		stream, err = readStream(tx.QueryRowContext(ctx, streamByName, s.named(name)...))
		return err
	})
	return stream, err
}

// RotateKeys implements siaran.Listing.
func (s *SQLite) RotateKeys(ctx context.Context, name siaran.StreamName) (generation int, err error) {
	err = s.write(ctx, "rotate the keys of a stream", func(tx *sql.Tx) error {
		now := micros(s.now())
		if err := ensureStream(ctx, tx, name, now); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `UPDATE streams SET key_generation = key_generation + 1, updated_at = ?
			WHERE name = ? RETURNING key_generation`, now, string(name)).Scan(&generation)
	})
	return generation, err
}

// Claim implements siaran.Listing.
func (s *SQLite) Claim(ctx context.Context, name siaran.StreamName, node, owner string) error {
	return s.write(ctx, "claim a stream", func(tx *sql.Tx) error {
		if err := ensureStream(ctx, tx, name, micros(s.now())); err != nil {
			return err
		}
		stream, err := readStream(tx.QueryRowContext(ctx, streamByName, s.named(name)...))
		if err != nil {
			return err
		}
		if err := mayClaim(stream, node, owner); err != nil || owner == "" || stream.Owner == owner {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE streams SET owner = ? WHERE name = ?`, owner, string(name))
		return err
	})
}

// mayClaim tells whether owner may make the stream live on node.
func mayClaim(s siaran.Stream, node, owner string) error {
	if owner != "" && s.Owner != "" && s.Owner != owner {
		return siaran.ErrNotOwner
	}
	if s.Status != siaran.StatusOffline && s.Node != node {
		return fmt.Errorf("%w: it is live on the server %s", siaran.ErrStreamTaken, s.Node)
	}
	return nil
}
