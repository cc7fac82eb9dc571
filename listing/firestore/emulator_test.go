package firestore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"siaran/listing/firestore/emulator"
)

var errUntrusted = errors.New("the listing does not rely on its memory now")

// memoryAgrees reports whether a listing holds in memory what is in the database.
func memoryAgrees(ctx context.Context, f *Listing) (bool, error) {
	what, err := difference(ctx, f)
	return what == "" && err == nil, err
}

// difference names one thing that a listing does not hold in memory as it is in the database, if there is any.
func difference(ctx context.Context, f *Listing) (string, error) {
	streams, err := f.streams().Where("status", "in", liveStatuses).Documents(ctx).GetAll()
	if err != nil {
		return "", err
	}
	nodes, err := f.nodes().Documents(ctx).GetAll()
	if err != nil {
		return "", err
	}
	neighbours, err := f.neighbours().Documents(ctx).GetAll()
	if err != nil {
		return "", err
	}
	m := f.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.trusted() {
		return "", errUntrusted
	}
	for _, snap := range streams {
		if r, there := m.rows[nameOf(snap.Ref.ID)]; !there || !r.updated.Equal(snap.UpdateTime) {
			return snap.Ref.Path, nil
		}
	}
	for _, snap := range nodes {
		name, content := nameOf(snap.Ref.ID), fields(snap.Data())
		if (m.f.valid(m.leaseOf(name)) == 0) != (m.f.valid(content.time("leaseUntil")) == 0) {
			return snap.Ref.Path, nil
		}
	}
	for _, snap := range neighbours {
		name, content := nameOf(snap.Ref.ID), fields(snap.Data())
		told := neighbour{readNodeDocument(name, content), content.time("leaseUntil")}
		if m.neighbours[name] != told {
			return snap.Ref.Path, nil
		}
	}
	if len(streams) != len(m.rows) || len(neighbours) != len(m.neighbours) {
		return fmt.Sprint(len(streams), len(neighbours)), nil
	}
	return "", nil
}

// askAgain works around a fault of the emulator until the test ends: the emulator never delivers what is written at the
// moment when a listener begins. When memory and database have disagreed about the same for some seconds, it restarts
// the listeners.
func askAgain(t testing.TB, f *Listing) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		before := ""
		for behind := 0; ctx.Err() == nil; {
			select {
			case <-ctx.Done():
			case <-f.ended.Done():
				return
			case <-time.After(time.Second):
			}
			asked, end := context.WithTimeout(ctx, 5*time.Second)
			now, err := difference(asked, f)
			end()
			if now == "" || err != nil || now != before {
				before, behind = now, 0
			} else if behind++; behind == 3 {
				behind = 0
				t.Log("the emulator has not delivered everything: asking again")
				f.mirror.restartNow()
			}
		}
	}()
}

// TestRepair writes while listeners are cancelled. Without emulator.Repair some of the writes fail.
func TestRepair(t *testing.T) {
	t.Parallel()
	f := open(t, Config{Project: emulator.Project()})
	doc := f.client.Collection("try").Doc("one")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var listeners sync.WaitGroup
	for range 2 {
		listeners.Go(func() {
			for ctx.Err() == nil {
				one, end := context.WithCancel(ctx)
				it := doc.Snapshots(one)
				for range 3 {
					_, _ = it.Next()
				}
				end()
				it.Stop()
			}
		})
	}
	defer listeners.Wait()
	for n := 0; ctx.Err() == nil; n++ {
		write := func() error { _, err := doc.Set(t.Context(), map[string]any{"n": n}); return err }
		if n%2 > 0 {
			write = func() error {
				b := f.client.BulkWriter(t.Context())
				defer b.End()
				job, err := b.Set(doc, map[string]any{"n": n})
				if err == nil {
					b.Flush()
					_, err = job.Results()
				}
				return err
			}
		}
		if err := write(); err != nil {
			t.Fatalf("write %d: %v", n, err)
		}
		if snap, err := doc.Get(t.Context()); err != nil || fields(snap.Data())["n"] != int64(n) {
			t.Fatalf("after write %d: %v, %v", n, snap.Data(), err)
		}
	}
}
