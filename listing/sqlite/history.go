package sqlite

import (
	"context"
	"database/sql"

	"siaran"
	"siaran/listing/internal/live"
)

// Viewers implements siaran.Listing.
func (s *Listing) Viewers(ctx context.Context, name siaran.StreamName) ([]siaran.ViewerRecord, error) {
	list, err := selectRows(ctx, s.reader, scanViewer, `SELECT v.stream, v.broadcast, v.node, v.id, v.joined_at, v.path
		FROM viewers v JOIN nodes n ON n.name = v.node AND n.lease_until > :now
		WHERE v.stream = :name ORDER BY v.joined_at, v.id`,
		sql.Named("now", live.Micros(s.now())), sql.Named("name", string(name)))
	if err != nil {
		return nil, s.explain("read who watches", err)
	}
	return list, nil
}

func scanViewer(row scanner) (siaran.ViewerRecord, error) {
	var v siaran.ViewerRecord
	var joined int64
	err := row.Scan(&v.Stream, &v.Broadcast, &v.Node, &v.ID, &joined, &v.Path)
	v.JoinedAt = live.FromMicros(joined)
	return v, err
}

// Broadcasts implements siaran.Listing.
func (s *Listing) Broadcasts(ctx context.Context, name siaran.StreamName, limit int) ([]siaran.BroadcastRecord, error) {
	list, err := selectRows(ctx, s.reader, scanBroadcast, `SELECT node, id, stream, owner, status,
			started_at, ended_at, end_reason, media, viewers, peak_viewers, total_viewers, ended_at = 0 AND NOT EXISTS
			(SELECT 1 FROM nodes n WHERE n.name = node AND n.lease_until > :now), `+lastSign+`
		FROM broadcasts WHERE stream = :name ORDER BY started_at DESC, id LIMIT :limit`,
		sql.Named("now", live.Micros(s.now())), sql.Named("name", string(name)), sql.Named("limit", live.Limit(limit)))
	if err != nil {
		return nil, s.explain("read the history", err)
	}
	return list, nil
}

func scanBroadcast(row scanner) (siaran.BroadcastRecord, error) {
	var b siaran.BroadcastRecord
	var started, ended, lastSign int64
	var tracks string
	var dead bool
	err := row.Scan(&b.Node, &b.ID, &b.Stream, &b.Owner, &b.Status, &started, &ended, &b.EndReason, &tracks,
		&b.Viewers, &b.PeakViewers, &b.TotalViewers, &dead, &lastSign)
	if err != nil {
		return b, err
	}
	if dead { // as the next sweep will write it
		b.Status, b.EndReason, b.Viewers, ended = siaran.StatusOffline, siaran.EndCrashed, 0, lastSign
	}
	b.StartedAt, b.EndedAt = live.FromMicros(started), live.FromMicros(ended)
	m, err := parseMedia(tracks)
	b.Video, b.Audio, b.Layers = m.Video, m.Audio, m.Layers
	return b, err
}
