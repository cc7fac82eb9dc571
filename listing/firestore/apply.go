package firestore

import (
	"context"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/listing/internal/live"
)

// How long documents that no server deletes are kept, before Firestore's own TTL deletion may take them.
const (
	viewerKept  = 30 * 24 * time.Hour  // after the join
	historyKept = 400 * 24 * time.Hour // after the end
)

// Apply implements siaran.Listing. What a stream is, is written in a transaction; that is rare. Numbers of viewers
// and their documents go in one flush and cost one operation each.
func (f *Listing) Apply(ctx context.Context, u siaran.Update) error {
	if len(u.Changes) == 0 {
		return nil
	}
	if u.At.IsZero() {
		u.At = f.clock.now()
	}
	return f.do(ctx, "write what has changed", func(ctx context.Context) error {
		w := updateWriter{
			f: f, ctx: ctx, node: u.Node, at: u.At.UTC(),
			flush: f.newFlush(), counted: make(map[siaran.BroadcastID]siaran.BroadcastState),
		}
		if err := w.changes(u.Changes); err != nil {
			return err
		}
		return w.finish()
	})
}

const maxTransactions = 8 // of one update, at the same time

// updateWriter writes one update.
type updateWriter struct {
	f    *Listing
	ctx  context.Context
	node string
	at   time.Time

	mu      sync.Mutex // guards what follows
	flush   *flush
	counted map[siaran.BroadcastID]siaran.BroadcastState // the states whose counts are in flush
	drained []writtenState                               // have ended, and may have viewers left
}

// changes writes the changes of one stream in their order, and several streams at the same time: a transaction takes
// several round trips to the database.
func (u *updateWriter) changes(list []siaran.Change) error {
	byStream := make(map[siaran.StreamName][]siaran.Change)
	for _, c := range list {
		byStream[c.State.Stream] = append(byStream[c.State.Stream], c)
	}
	var g errgroup.Group
	g.SetLimit(maxTransactions)
	for _, list := range byStream {
		g.Go(func() error {
			for _, c := range list {
				if err := u.change(c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (u *updateWriter) change(c siaran.Change) error {
	state := u.complete(c.State)
	w, known := u.f.written(state.ID, u.node)
	switch {
	case known && w.over && (state.Status != siaran.StatusOffline || state.EndReason == w.state.EndReason):
		// An end may come in several parts, each with some of the viewers who have left.
	case known && !w.over && w.shown && w.state.SameButCounts(state):
		u.mu.Lock()
		u.count(w, state)
		u.mu.Unlock()
	default:
		var err error
		if w, err = u.write(state); err != nil {
			return err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if w.over {
		u.leave(c, w)
	} else if u.f.presence == PresenceDocuments {
		u.addPresence(c)
	}
	return nil
}

// complete returns the state as it is to be written.
func (u *updateWriter) complete(state siaran.BroadcastState) siaran.BroadcastState {
	if state.Status == siaran.StatusOffline {
		state.Viewers = 0
		if state.EndedAt.IsZero() {
			state.EndedAt = u.at
		}
	}
	if u.f.presence == PresenceOff {
		state.Viewers, state.PeakViewers, state.TotalViewers = 0, 0, 0
	}
	return state
}

// count adds the number of viewers to the flush, if it has changed. The caller holds u.mu.
func (u *updateWriter) count(w writtenState, state siaran.BroadcastState) {
	if w.state.Viewers == state.Viewers {
		return
	}
	u.counted[state.ID] = state
	u.flush.counts[state.ID] = viewerCount{
		ref:    u.f.stream(state.Stream),
		fields: fields{"viewers": state.Viewers, "updatedAt": u.at},
		seen:   w.updated,
	}
}

// addPresence adds the documents of viewers who came and went to the flush. The caller holds u.mu.
func (u *updateWriter) addPresence(c siaran.Change) {
	for _, v := range c.Joined {
		u.flush.set(u.f.viewer(c.State.Stream, v.ID), fields{
			"node": u.node, "broadcastId": string(c.State.ID), "joinedAt": v.JoinedAt.UTC(), "path": v.Path,
			"expireAt": u.at.Add(viewerKept),
		})
	}
	for _, id := range c.Left {
		u.flush.remove(u.f.viewer(c.State.Stream, id))
	}
}

// leave removes the viewers of a broadcast that has ended. When Left is empty, finish queries for them. The caller
// holds u.mu.
func (u *updateWriter) leave(c siaran.Change, w writtenState) {
	for path, s := range u.flush.sets {
		if s.fields["broadcastId"] == string(c.State.ID) {
			delete(u.flush.sets, path)
		}
	}
	if u.f.presence != PresenceDocuments {
		return
	}
	for _, id := range c.Left {
		u.flush.remove(u.f.viewer(c.State.Stream, id))
	}
	if len(c.Left) == 0 {
		u.drained = append(u.drained, w)
	}
}

// finish writes what has been collected.
func (u *updateWriter) finish() error {
	done, refused, err := u.flush.send(u.ctx)
	for _, c := range done {
		if w, ok := u.f.written(c.id, u.node); ok {
			if w.state = u.counted[c.id]; w.updated.Before(c.at) {
				w.updated = c.at
			}
			u.f.ledger.put(w)
			u.f.mirror.wrote(w.state.Stream, c.at)
		}
	}
	if err != nil {
		return err
	}
	for _, id := range refused { // something else about the stream has changed: read it, and write everything
		if _, err := u.write(u.counted[id]); err != nil {
			return err
		}
	}
	for _, w := range u.drained {
		if err := u.drain(w); err != nil {
			return err
		}
	}
	return nil
}

// drain removes one batch of the viewers of a broadcast that has ended. If there are more, they are not counted, and
// ReconcileViewers finds them.
func (u *updateWriter) drain(w writtenState) error {
	q := u.f.stream(w.state.Stream).Collection("viewers").Where("broadcastId", "==", string(w.state.ID))
	snaps, err := u.f.query(u.ctx, q.Limit(sweepBatch))
	if err != nil || len(snaps) == 0 {
		return err
	}
	flush := u.f.newFlush()
	for _, snap := range snaps {
		flush.remove(snap.Ref)
	}
	_, _, err = flush.send(u.ctx)
	return err
}

// write writes what a broadcast is to its own document and to its stream's.
func (u *updateWriter) write(state siaran.BroadcastState) (writtenState, error) {
	f := u.f
	unlock, err := f.locks.take(u.ctx, string(state.Stream))
	if err != nil {
		return writtenState{}, err
	}
	defer unlock()
	var w writtenState
	at, err := f.transact(u.ctx, func(tx *transaction) (err error) {
		w, err = u.attempt(tx, state)
		return err
	})
	if err != nil {
		return writtenState{}, err
	}
	if w.updated = at; at.IsZero() {
		w.updated = f.clock.now()
	}
	f.ledger.put(w)
	if w.shown {
		f.mirror.wrote(state.Stream, at)
	}
	return w, nil
}

// attempt is one attempt of the transaction in write.
func (u *updateWriter) attempt(tx *transaction, state siaran.BroadcastState) (writtenState, error) {
	ref, history := u.f.stream(state.Stream), u.f.broadcast(state.Stream, state.ID)
	snaps, err := tx.readAll([]*firestore.DocumentRef{ref, history})
	if err != nil {
		return writtenState{}, err
	}
	m, old := fields(snaps[0].Data()), fields(snaps[1].Data())
	if !snaps[0].Exists() {
		m = newStream(u.at)
	}
	row := readStreamDocument(string(state.Stream), m)
	w := writtenState{node: u.node, state: state, over: state.Status == siaran.StatusOffline}
	news := w.over || old.time("endedAt") == 0 || siaran.EndReason(old.text("reason")).Revocable()
	if !news {
		w.over = true
		w.state.EndReason = siaran.EndReason(old.text("reason"))
	}
	elsewhere := u.elsewhere(row, state)
	if row.Removed && w.over { // it ended before the stream was deleted
		return w, nil
	}
	var set fields
	if w.over {
		w.shown = row.BroadcastID == state.ID && !elsewhere
		set = offlineFields()
		set["updatedAt"] = u.at
	} else {
		if w.shown, err = u.shows(tx, row, state); err != nil {
			return writtenState{}, err
		}
		set = u.liveFields(row, state)
	}
	if !w.shown {
		set = nil
	}
	if err := tx.save(snaps[0], m, set); err != nil || !news || elsewhere && !w.shown {
		return w, err
	}
	if state.Moves > 0 { // who watched before has been counted by the servers before
		state.PeakViewers = max(state.PeakViewers, old.number("peakViewers"))
		state.TotalViewers = max(state.TotalViewers, old.number("viewCount"))
	}
	return w, tx.set(history, u.record(state))
}

// shows reports whether a live broadcast goes into its stream's document: not when that is about a newer one which
// is live elsewhere, or when this very broadcast has moved elsewhere.
func (u *updateWriter) shows(tx *transaction, row live.Row, state siaran.BroadcastState) (bool, error) {
	switch {
	case row.Status == siaran.StatusOffline:
		return true, nil
	case row.BroadcastID == state.ID && !u.elsewhere(row, state):
		return true, nil
	case row.BroadcastID != state.ID && live.Micros(row.StartedAt) <= live.Micros(state.StartedAt):
		return true, nil
	}
	node, err := tx.read(u.f.node(row.Node))
	if err != nil {
		return false, err
	}
	return u.f.valid(fields(node.Data()).time("leaseUntil")) == 0, nil
}

// elsewhere reports whether a stream's document says that the broadcast has moved to another server. Its history is
// that server's then.
func (u *updateWriter) elsewhere(row live.Row, state siaran.BroadcastState) bool {
	return row.BroadcastID == state.ID && row.Node != u.node && row.Node != "" && row.Moves >= state.Moves
}

// liveFields are the fields of a stream's document that shows the broadcast.
func (u *updateWriter) liveFields(row live.Row, b siaran.BroadcastState) fields {
	m := fields{
		"status": string(b.Status), "node": u.node, "broadcastId": string(b.ID), "startedAt": orNil(b.StartedAt),
		"viewers": b.Viewers, "updatedAt": u.at, "moves": b.Moves, "publisher": "",
	}
	if u.f.proof != nil {
		m["publisher"] = u.f.proof(b.Stream, b.ID, b.Owner)
	}
	tracks{b.Video, b.Audio, b.Layers}.put(m)
	if row.Removed {
		m["removed"] = firestore.Delete
	}
	return m
}

// record are the fields of a broadcast in the history. The publisher is not among them: anyone may read what is
// public, and the name of a credential would tell which broadcasts were published with the same one.
func (u *updateWriter) record(b siaran.BroadcastState) fields {
	m := fields{
		"node": u.node, "status": string(b.Status), "startedAt": orNil(b.StartedAt), "endedAt": nil,
		"reason": string(b.EndReason), "peakViewers": b.PeakViewers, "viewCount": b.TotalViewers, "updatedAt": u.at,
	}
	if b.Status == siaran.StatusOffline {
		m["endedAt"], m["expireAt"] = b.EndedAt.UTC(), b.EndedAt.UTC().Add(historyKept)
	}
	tracks{b.Video, b.Audio, b.Layers}.put(m)
	return m
}

func orNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}
