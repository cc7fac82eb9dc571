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
		var viewers int
		var draining bool
		node := siaran.Node{Name: self, Region: "jkt", Capacity: 100}
		r := NewReporter(hub, book, node, nil, WithLoad(func() (int, bool) {
			mu.Lock()
			defer mu.Unlock()
			return viewers, draining
		}))
		set := func(n int, drains bool) {
			mu.Lock()
			viewers, draining = n, drains
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
			set(step.viewers, false)
			time.Sleep(step.wait)
			synctest.Wait()
			if got := loads(); !slices.Equal(got, step.want) {
				t.Errorf("%d viewers, %v: %v are written, want %v", step.viewers, step.wait, got, step.want)
			}
		}
		time.Sleep(2 * time.Second)
		set(83, true)
		if list := book.take(); len(list) != 1 || !list[0].Draining {
			t.Errorf("when it drains: %+v", list)
		}
		hub.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
