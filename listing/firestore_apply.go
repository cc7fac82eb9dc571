package listing

import (
	"context"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/sync/errgroup"

	"siaran"
)

// How long documents stay at most that nobody deletes, by Firestore's own TTL deletion.
const (
	viewerKept  = 30 * 24 * time.Hour  // after the join
	historyKept = 400 * 24 * time.Hour // after the end
)

// Apply implements siaran.Listing. What a stream is, is written in a transaction; that is rare. Numbers of viewers
// and their documents go in one flush and cost one operation each.
func (f *Firestore) Apply(ctx context.Context, u siaran.Update) error {
	if len(u.Changes) == 0 {
		return nil
	}
	if u.At.IsZero() {
		u.At = f.clock.now()
	}
	return f.do(ctx, "write what has changed", func(ctx context.Context) error {
		a := applicant{f: f, ctx: ctx, node: u.Node, at: u.At.UTC(), flush: f.newFlush(), counted: make(map[siaran.BroadcastID]siaran.BroadcastState)}
		if err := a.changes(u.Changes); err != nil {
			return err
		}
		return a.finish()
	})
}

const maxTransactions = 8 // at once, of one update

// applicant writes one update.
type applicant struct {
	f    *Firestore
	ctx  context.Context
	node string
	at   time.Time

	mu      sync.Mutex // of what is collected
	flush   *flush
	counted map[siaran.BroadcastID]siaran.BroadcastState
	edges   []post // as they will be when the flush has been sent
	drained []post // have ended, and may have viewers left
}

// changes takes those of one stream in their order, and streams side by side: a transaction is several ways to the database and back.
func (a *applicant) changes(list []siaran.Change) error {
	byStream := make(map[siaran.StreamName][]siaran.Change)
	for _, c := range list {
		byStream[c.State.Stream] = append(byStream[c.State.Stream], c)
	}
	var g errgroup.Group
	g.SetLimit(maxTransactions)
	for _, list := range byStream {
		g.Go(func() error {
			for _, c := range list {
				if err := a.change(c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (a *applicant) change(c siaran.Change) error {
	state := c.State
	if state.Status == siaran.StatusOffline {
		state.Viewers = 0
		if state.EndedAt.IsZero() {
			state.EndedAt = a.at
		}
	}
	if a.f.presence == PresenceOff {
		state.Viewers, state.PeakViewers, state.TotalViewers = 0, 0, 0
	}
	p, posted := a.f.posted(state.ID, a.node)
	switch {
	case posted && p.over && (state.Status != siaran.StatusOffline || state.EndReason == p.state.EndReason):
		// An end may come in several parts, each with some of those who have left.
	case posted && !p.over && p.role != hidden && sameButCounts(p.state, state):
		a.mu.Lock()
		a.count(p, state)
		a.mu.Unlock()
	default:
		var err error
		if p, err = a.write(state); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.over {
		a.left(c, p)
		return nil
	}
	if a.f.presence == PresenceDocuments {
		a.presence(c)
	}
	return nil
}

// count has the number of viewers written, if it is another one.
func (a *applicant) count(p post, state siaran.BroadcastState) {
	if p.state.Viewers == state.Viewers {
		return
	}
	if p.role == edge {
		a.flush.set(a.f.count(state.Stream, a.node), a.edgeCount(state))
		p.state = state
		a.edges = append(a.edges, p)
		return
	}
	a.counted[state.ID] = state
	a.flush.counts[state.ID] = viewerCount{
		ref:    a.f.stream(state.Stream),
		fields: fields{"viewers": a.f.sums.own(state), "updatedAt": a.at},
		seen:   p.updated,
	}
}

func (a *applicant) edgeCount(state siaran.BroadcastState) fields {
	return fields{"node": a.node, "broadcastId": string(state.ID), "viewers": state.Viewers, "updatedAt": a.at}
}

// presence has the documents of those who came and went written.
func (a *applicant) presence(c siaran.Change) {
	for _, v := range c.Joined {
		a.flush.set(a.f.viewer(c.State.Stream, v.ID), fields{
			"node": a.node, "broadcastId": string(c.State.ID), "joinedAt": v.JoinedAt.UTC(), "path": v.Path,
			"expireAt": a.at.Add(viewerKept),
		})
	}
	for _, id := range c.Left {
		a.flush.remove(a.f.viewer(c.State.Stream, id))
	}
}

// left takes away those who watched a broadcast that has ended. Where Left names nobody, it is looked for some.
func (a *applicant) left(c siaran.Change, p post) {
	for path, s := range a.flush.sets {
		if s.fields["broadcastId"] == string(c.State.ID) {
			delete(a.flush.sets, path)
		}
	}
	if a.f.presence != PresenceDocuments {
		return
	}
	for _, id := range c.Left {
		a.flush.remove(a.f.viewer(c.State.Stream, id))
	}
	if len(c.Left) == 0 && p.node == a.node {
		a.drained = append(a.drained, p)
	}
}

// finish writes what has been collected.
func (a *applicant) finish() error {
	done, refused, err := a.flush.send(a.ctx)
	for _, c := range done {
		if p, ok := a.f.posted(c.id, a.node); ok {
			if p.state = a.counted[c.id]; p.updated.Before(c.at) {
				p.updated = c.at
			}
			a.f.post(p)
			a.f.mirror.wrote(p.state.Stream, c.at)
		}
	}
	if err != nil {
		return err
	}
	for _, p := range a.edges {
		a.f.post(p)
	}
	for _, id := range refused { // something else of the stream has changed meanwhile: look, and write all
		if _, err := a.write(a.counted[id]); err != nil {
			return err
		}
	}
	for _, p := range a.drained {
		if err := a.drain(p); err != nil {
			return err
		}
	}
	return nil
}

// drain takes away one batch of the viewers of a broadcast that has ended. Should there be more, they count nowhere and tidy finds them.
func (a *applicant) drain(p post) error {
	q := a.f.stream(p.state.Stream).Collection("viewers").Where("broadcastId", "==", string(p.state.ID))
	if p.role == edge { // it goes on elsewhere
		q = q.Where("node", "==", a.node)
	}
	snaps, err := a.f.query(a.ctx, q.Limit(sweepBatch))
	if err != nil || len(snaps) == 0 {
		return err
	}
	flush := a.f.newFlush()
	for _, snap := range snaps {
		flush.remove(snap.Ref)
	}
	_, _, err = flush.send(a.ctx)
	return err
}

// write writes what a broadcast is, to its own document and to its stream's.
func (a *applicant) write(state siaran.BroadcastState) (post, error) {
	f := a.f
	unlock, err := f.lock(a.ctx, state.Stream)
	if err != nil {
		return post{}, err
	}
	defer unlock()
	var p post
	at, err := f.transact(a.ctx, func(tx *transaction) (err error) {
		p, err = a.attempt(tx, state)
		return err
	})
	if err != nil {
		return post{}, err
	}
	if p.updated = at; at.IsZero() {
		p.updated = f.clock.now()
	}
	f.post(p)
	if p.role == shown {
		f.mirror.wrote(state.Stream, at)
		f.recent.forget(state.Stream)
	}
	f.sums.follow(p)
	return p, nil
}

func (a *applicant) attempt(tx *transaction, state siaran.BroadcastState) (post, error) {
	f := a.f
	ref, history := f.stream(state.Stream), f.broadcast(state.Stream, state.ID)
	snaps, err := tx.readAll([]*firestore.DocumentRef{ref, history})
	if err != nil {
		return post{}, err
	}
	m, old := fields(snaps[0].Data()), fields(snaps[1].Data())
	create := !snaps[0].Exists()
	if create {
		m = newStream(a.at)
	}
	p := post{node: a.node, state: state, over: state.Status == siaran.StatusOffline}
	if by := old.text("node"); p.over && by != "" && by != a.node { // we were an edge: the broadcast is another's, and may go on
		p.role = edge
		return p, tx.remove(f.count(state.Stream, a.node))
	}
	set := fields{}
	news := old.time("endedAt") == 0 || old.text("reason") == string(siaran.EndCrashed) || p.over
	if !news { // ended broadcasts stay so
		p.over = true
		p.state.EndReason = siaran.EndReason(old.text("reason"))
	}
	row := readStreamDocument(string(state.Stream), m)
	if news && !p.over {
		if p.role, err = a.role(tx, row, state); err != nil {
			return post{}, err
		}
	}
	switch {
	case p.over && row.Broadcast == string(state.ID) && (row.Node == a.node || row.Node == ""):
		p.role = shown
		set = offlineFields()
		set["updatedAt"] = a.at
	case p.role == shown:
		set = fields{
			"status": string(state.Status), "node": a.node, "broadcastId": string(state.ID), "startedAt": orNil(state.StartedAt),
			"viewers": f.sums.own(state), "updatedAt": a.at,
		}
		media{state.Video, state.Audio, state.Layers}.put(set)
	}
	if create {
		for k, v := range set {
			m[k] = v
		}
		if err := tx.create(ref, m); err != nil {
			return post{}, err
		}
	} else if len(set) > 0 {
		if err := tx.update(ref, set); err != nil {
			return post{}, err
		}
	}
	if p.role == edge {
		return p, tx.set(f.count(state.Stream, a.node), a.edgeCount(state))
	}
	if !news {
		return p, nil
	}
	return p, tx.set(history, a.record(state))
}

// role is what a live broadcast is to the stream whose document row is.
func (a *applicant) role(tx *transaction, row streamRow, state siaran.BroadcastState) (role, error) {
	if row.Status == string(siaran.StatusOffline) || row.Node == a.node && row.Broadcast == string(state.ID) {
		return shown, nil
	}
	if row.Broadcast != string(state.ID) && row.StartedAt <= micros(state.StartedAt) {
		return shown, nil
	}
	node, err := tx.read(a.f.node(row.Node))
	switch {
	case err != nil:
		return hidden, err
	case a.f.valid(fields(node.Data()).time("leaseUntil")) == 0:
		return shown, nil
	case row.Broadcast == string(state.ID):
		return edge, nil
	}
	return hidden, nil
}

// record are the fields of a broadcast in the history.
func (a *applicant) record(b siaran.BroadcastState) fields {
	m := fields{
		"node": a.node, "owner": b.Owner, "status": string(b.Status), "startedAt": orNil(b.StartedAt), "endedAt": nil,
		"reason": string(b.EndReason), "peakViewers": b.PeakViewers, "viewCount": b.TotalViewers, "updatedAt": a.at,
	}
	if b.Status == siaran.StatusOffline {
		m["endedAt"], m["expireAt"] = b.EndedAt.UTC(), b.EndedAt.UTC().Add(historyKept)
	}
	media{b.Video, b.Audio, b.Layers}.put(m)
	return m
}

func orNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}
