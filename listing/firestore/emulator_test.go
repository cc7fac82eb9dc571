package firestore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
	"siaran/internal/testutil"
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

// apply writes as the reporter does, which tries again: the emulator may fail a write that it has done, when a listener
// that it would tell is being cancelled.
func apply(t testing.TB, f *Listing, u siaran.Update) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	defer cancel()
	for {
		err := f.Apply(ctx, u)
		if err == nil {
			return
		}
		if status.Code(err) != codes.Canceled || ctx.Err() != nil {
			t.Fatal(err)
		}
		t.Log("the emulator has cancelled a write: again")
	}
}
