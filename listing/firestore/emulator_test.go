package firestore

import (
	"context"
	"errors"
	"testing"
	"time"
)

var errUntrusted = errors.New("the listing does not rely on its memory now")

// memoryAgrees reports whether a listing holds in memory what is in the database.
func memoryAgrees(ctx context.Context, f *Listing) (bool, error) {
	streams, err := f.streams().Where("status", "in", liveStatuses).Documents(ctx).GetAll()
	if err != nil {
		return false, err
	}
	nodes, err := f.nodes().Documents(ctx).GetAll()
	if err != nil {
		return false, err
	}
	neighbours, err := f.neighbours().Documents(ctx).GetAll()
	if err != nil {
		return false, err
	}
	m := f.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.trusted() {
		return false, errUntrusted
	}
	if len(streams) != len(m.rows) || len(neighbours) != len(m.neighbours) {
		return false, nil
	}
	for _, snap := range streams {
		if r, there := m.rows[nameOf(snap.Ref.ID)]; !there || !r.updated.Equal(snap.UpdateTime) {
			return false, nil
		}
	}
	for _, snap := range nodes {
		name, content := nameOf(snap.Ref.ID), fields(snap.Data())
		if (m.f.valid(m.leaseOf(name)) == 0) != (m.f.valid(content.time("leaseUntil")) == 0) {
			return false, nil
		}
	}
	for _, snap := range neighbours {
		name, content := nameOf(snap.Ref.ID), fields(snap.Data())
		told := neighbour{readNodeDocument(name, content), content.time("leaseUntil")}
		if m.neighbours[name] != told {
			return false, nil
		}
	}
	return true, nil
}

// askAgain works around a fault of the emulator until the test ends: the emulator never delivers what is written at the
// moment when a listener begins. When memory and database have disagreed for some seconds, it restarts the listeners.
func askAgain(t testing.TB, f *Listing) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		for behind := 0; ctx.Err() == nil; {
			select {
			case <-ctx.Done():
			case <-f.ended.Done():
				return
			case <-time.After(time.Second):
			}
			asked, end := context.WithTimeout(ctx, 5*time.Second)
			agrees, err := memoryAgrees(asked, f)
			end()
			if agrees || err != nil {
				behind = 0
			} else if behind++; behind == 4 {
				behind = 0
				t.Log("the emulator has not delivered everything: asking again")
				f.mirror.restartNow()
			}
		}
	}()
}
