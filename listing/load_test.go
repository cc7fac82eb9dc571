package listing

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
	"siaran/internal/codec"
)

// leaseBook is a listing that knows nothing but leases.
type leaseBook struct {
	siaran.Listing

	mu   sync.Mutex
	list []siaran.Node
}

func (l *leaseBook) Renew(_ context.Context, n siaran.Node) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, n)
	return nil
}

func (l *leaseBook) Sweep(context.Context, string) (int, error) { return 0, nil }
func (l *leaseBook) Apply(context.Context, siaran.Update) error { return nil }
func (l *leaseBook) take() (list []siaran.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, l.list = l.list, nil
	return list
}

// TestLoadIsTold: a load that changes much is written at once, but at most once a second; else with the lease.
func TestLoadIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, book := siaran.NewHub(time.Minute, codec.NewFramer), &leaseBook{}
		var mu sync.Mutex
		node := siaran.Node{Name: self, Region: "jkt", Capacity: 100}
		load := node
		r := NewReporter(hub, book, node, nil, WithLoad(func(n *siaran.Node) {
			mu.Lock()
			defer mu.Unlock()
			n.Viewers, n.Capacity, n.Use, n.Draining = load.Viewers, load.Capacity, load.Use, load.Draining
		}))
		set := func(change func(*siaran.Node)) {
			mu.Lock()
			change(&load)
			mu.Unlock()
			r.Hasten()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		if list := book.take(); len(list) != 1 || list[0].Region != "jkt" || list[0].Capacity != 100 {
			t.Fatalf("%+v", list)
		}
		loads := func() (list []int) {
			for _, n := range book.take() {
				list = append(list, n.Viewers)
			}
			return list
		}
		time.Sleep(2 * time.Second)
		for _, step := range []struct {
			viewers int
			wait    time.Duration
			want    []int
		}{
			{4, 0, nil},                           // no step
			{5, 0, []int{5}},                      // a step
			{90, 0, nil},                          // too soon
			{80, time.Second, []int{80}},          // a second later, what is true then
			{83, 3 * time.Second, nil},            // no step
			{83, 2 * time.Second, []int{83}},      // with the lease
			{83, 10 * time.Second, []int{83, 83}}, // which goes on
		} {
			set(func(n *siaran.Node) { n.Viewers = step.viewers })
			time.Sleep(step.wait)
			synctest.Wait()
			if got := loads(); !slices.Equal(got, step.want) {
				t.Errorf("%d viewers, %v: %v are written, want %v", step.viewers, step.wait, got, step.want)
			}
		}
		want := node
		want.Viewers = 83
		for _, step := range []struct {
			what   string
			change func(*siaran.Node)
			told   bool
		}{
			{"half is in use", func(n *siaran.Node) { n.Use = 0.5 }, false},
			{"it has no room for its work", func(n *siaran.Node) { n.Use = 1 }, true},
			{"it has some again", func(n *siaran.Node) { n.Use = 0.9 }, true},
			{"its capacity is another one", func(n *siaran.Node) { n.Capacity = 200 }, true},
			{"it drains", func(n *siaran.Node) { n.Draining = true }, true},
		} {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			book.take()
			set(step.change)
			list := book.take()
			if step.told != (len(list) == 1) {
				t.Errorf("%s: %+v", step.what, list)
			}
			if step.change(&want); step.told && len(list) == 1 {
				want.LeaseUntil = list[0].LeaseUntil
				if list[0] != want {
					t.Errorf("%s: %+v, want %+v", step.what, list[0], want)
				}
			}
		}
		hub.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
