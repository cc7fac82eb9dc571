package server

import (
	"time"

	"siaran"
)

// contestTime is how long a broadcaster that has moved and is sending cannot be replaced by another one that has the
// same credential and comes to a third server.
const contestTime = 30 * time.Second

// moves is ingest.Moves for a server of a cluster. Whose a broadcast is, is proven by what its server has written to
// the listing with the secret of the cluster.
type moves struct{ *server }

// Origin implements ingest.Moves.
func (m moves) Origin(stream siaran.StreamName, owner string) (o siaran.Origin, contested bool, err error) {
	w, listed := m.neighbours.Whereabouts(stream)
	if !listed || w.Stream.Node == m.cfg.Node {
		return o, false, nil
	}
	if !m.secret.Publishes(w.Publisher, stream, w.Stream.BroadcastID, owner) {
		if w.Alive {
			return o, false, siaran.ErrStreamTaken
		}
		return o, false, nil
	}
	sends := w.Alive && w.Stream.Status == siaran.StatusLive
	if sends && !w.Moved.IsZero() && time.Since(w.Moved) < contestTime {
		return o, false, siaran.ErrContested
	}
	return siaran.Origin{ID: w.Stream.BroadcastID, StartedAt: w.Stream.StartedAt, Moves: w.Moves + 1}, sends, nil
}

// LetGo implements ingest.Moves.
func (m moves) LetGo(stream siaran.StreamName) { m.cluster.LetGo(stream) }

// mayMove is web.Config.MayMove.
func (s *server) mayMove(stream siaran.StreamName, owner string) error {
	origin, _, err := moves{s}.Origin(stream, owner)
	if err == nil && origin.ID == "" { // not known here yet
		err = siaran.ErrStreamTaken
	}
	return err
}
