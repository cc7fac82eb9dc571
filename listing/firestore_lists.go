package listing

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
)

// What is kept of a list is worth what it costs: whoever asks, and how often, not many more documents are read than one each readEvery.
const (
	readEvery    = 300 * time.Millisecond
	keptAtLeast  = 2 * time.Second
	keptOffline  = 5 * time.Minute  // at most
	keptLive     = 15 * time.Second // at most; needed while the listeners are silent
	keptAfterErr = time.Second
)

// lists are those that anyone may ask for.
type lists struct {
	live         sharedList
	small, large sharedList // what is public, live or not, by name: up to defaultLimit and up to maxLimit
}

// public is the list that has at least limit streams, if there are so many, and how many it has at most.
func (l *lists) public(limit int) (*sharedList, int) {
	if limit <= defaultLimit {
		return &l.small, defaultLimit
	}
	return &l.large, maxLimit
}

// edited has what this server changes be seen in its lists at once.
func (l *lists) edited(row streamRow) {
	l.small.put(row, defaultLimit)
	l.large.put(row, maxLimit)
}

// sharedList is read once for all who want it within a time.
type sharedList struct {
	asking sync.Mutex // held while the database is asked

	mu    sync.Mutex
	rows  []streamRow
	err   error
	until time.Time
	edits int // how many have been put
}

func (s *sharedList) kept() ([]streamRow, error, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rows), s.err, time.Now().Before(s.until)
}

// get returns the list, which the caller may change, by asking if it is too old. Whoever asks goes on though the one
// for whom it is may have gone: what is read is billed all the same.
func (s *sharedList) get(ctx context.Context, most time.Duration, ask func(context.Context) ([]streamRow, error)) ([]streamRow, error) {
	if rows, err, fresh := s.kept(); fresh {
		return rows, err
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if rows, err, fresh := s.kept(); fresh {
		return rows, err
	}
	s.mu.Lock()
	edits := s.edits
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	rows, err := ask(ctx)
	age := max(keptAtLeast, min(time.Duration(len(rows))*readEvery, most))
	if err != nil {
		age = keptAfterErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.edits != edits { // what has just been put may not be in it
		age = min(age, keptAtLeast)
	}
	s.rows, s.err, s.until = rows, err, time.Now().Add(age)
	return slices.Clone(rows), err
}

// put changes one stream in a list by name.
func (s *sharedList) put(row streamRow, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edits++
	row.LeaseUntil = 0
	i, there := slices.BinarySearchFunc(s.rows, row.Name, func(r streamRow, name string) int { return strings.Compare(r.Name, name) })
	switch public := row.Visibility == string(siaran.VisibilityPublic); {
	case there && public:
		s.rows[i] = row
	case there:
		s.rows = slices.Delete(s.rows, i, i+1)
	case public && len(s.rows) < most:
		s.rows = slices.Insert(s.rows, i, row)
	}
}

// liveRows is everything that says it is live.
func (f *Firestore) liveRows(ctx context.Context, mayLag bool) ([]streamRow, error) {
	if rows, ok := f.mirror.allLive(mayLag); ok {
		return rows, nil
	}
	if mayLag && !f.strict {
		return f.lists.live.get(ctx, keptLive, f.askLive)
	}
	return f.askLive(ctx)
}

// addOffline adds streams that are not live, by name, until there are enough for the query.
func (f *Firestore) addOffline(ctx context.Context, live []streamRow, q siaran.StreamQuery) (rows []streamRow, err error) {
	limit := bounded(q.Limit)
	var known []streamRow
	if q.MayLag && !q.Private && q.Owner == "" && !f.strict {
		list, most := f.lists.public(limit)
		known, err = list.get(ctx, keptOffline, func(ctx context.Context) ([]streamRow, error) { return f.askByName(ctx, q, most) })
	} else {
		known, err = f.askByName(ctx, q, limit) // at most as many of them live as are in live
	}
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(live, func(r streamRow) bool { return r.LeaseUntil == 0 })
	have := make(map[string]bool, len(rows))
	for _, r := range rows {
		have[r.Name] = true
	}
	for _, r := range known {
		if !have[r.Name] {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// askByName asks for the first streams by name, whether they are live or not, and gives them without leases.
func (f *Firestore) askByName(ctx context.Context, of siaran.StreamQuery, limit int) (rows []streamRow, err error) {
	err = f.asking(ctx, func(ctx context.Context) error {
		rows, err = f.readByName(ctx, of, limit)
		return err
	})
	return rows, err
}

func (f *Firestore) readByName(ctx context.Context, of siaran.StreamQuery, limit int) ([]streamRow, error) {
	q := f.streams().Query
	if !of.Private {
		q = q.Where("visibility", "==", string(siaran.VisibilityPublic))
	}
	if of.Owner != "" {
		q = q.Where("owner", "==", of.Owner)
	}
	snaps, err := f.query(ctx, q.OrderBy(firestore.DocumentID, firestore.Asc).Limit(limit))
	if err != nil {
		return nil, err
	}
	rows := make([]streamRow, len(snaps))
	for i, snap := range snaps {
		rows[i] = readStreamDocument(nameOf(snap.Ref.ID), snap.Data())
	}
	return rows, nil
}
