package firestore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/iterator"

	"siaran/e2e/harness"
)

// directMargin is what docs/firestore.md says to wait beyond a lease.
const directMargin = 5 * time.Second

// direct reads what is live from Firestore without a server, by the rule that docs/firestore.md gives to everyone.
type direct struct {
	t      testing.TB
	client *firestore.Client

	mu      sync.Mutex
	streams map[string]directDocument
	viewers map[string]directDocument // of all streams, by path
	leases  map[string]time.Time
	heard   int // of the three listeners, a bit each
}

type directDocument struct {
	node   string
	status string
	count  int
}

// readDirectly listens until the test ends. FIRESTORE_EMULATOR_HOST says where.
func readDirectly(t testing.TB, project string) *direct {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	client, err := firestore.NewClient(ctx, project)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	d := &direct{t: t, client: client}
	var listening sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		listening.Wait()
		client.Close()
	})
	streams := client.Collection("streams").Where("visibility", "==", "public").Where("status", "in",
		[]string{"live", "interrupted"}).
		OrderBy("startedAt", firestore.Desc).Limit(50)
	for i, q := range []firestore.Query{streams, client.CollectionGroup("viewers").Query,
		client.Collection("nodes").Limit(50)} {
		listening.Go(func() {
			for ctx.Err() == nil {
				d.listen(ctx, i, q)
			}
		})
	}
	harness.Eventually(t, "the listeners have heard", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.heard == 7
	})
	return d
}

// listenTime is how long one listener lasts. The emulator never delivers what is written at the moment when it begins.
const listenTime = 10 * time.Second

func (d *direct) listen(ctx context.Context, which int, q firestore.Query) {
	ctx, cancel := context.WithTimeout(ctx, listenTime)
	defer cancel()
	snapshots := q.Snapshots(ctx)
	defer snapshots.Stop()
	for {
		snap, err := snapshots.Next()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.t.Errorf("listener %d: %v", which, err)
			return
		}
		documents, leases := make(map[string]directDocument), make(map[string]time.Time)
		for {
			doc, err := snap.Documents.Next()
			if err == iterator.Done {
				break
			}
			if err != nil {
				d.t.Errorf("listener %d: %v", which, err)
				return
			}
			m := doc.Data()
			var read directDocument
			read.node, _ = m["node"].(string)
			read.status, _ = m["status"].(string)
			if n, ok := m["viewers"].(int64); ok {
				read.count = int(n)
			}
			id := doc.Ref.ID
			if which == 1 {
				id = doc.Ref.Parent.Parent.ID + "/" + id
			}
			documents[id] = read
			leases[id], _ = m["leaseUntil"].(time.Time)
		}
		d.mu.Lock()
		switch which {
		case 0:
			d.streams = documents
		case 1:
			d.viewers = documents
		case 2:
			d.leases = leases
		}
		d.heard |= 1 << which
		d.mu.Unlock()
	}
}

// live are the names of the streams that count as live.
func (d *direct) live() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	streams := maps.Clone(d.streams)
	maps.DeleteFunc(streams, func(_ string, s directDocument) bool { return !d.alive(s.node) })
	return slices.Sorted(maps.Keys(streams))
}

// watching is how many viewers count, of all streams.
func (d *direct) watching() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.viewers {
		if d.alive(v.node) {
			n++
		}
	}
	return n
}

func (d *direct) alive(node string) bool {
	return d.leases[node].Add(directMargin).After(time.Now())
}

// left is how many documents speak of a node, whether it lives or not.
func (d *direct) left(node string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, documents := range []map[string]directDocument{d.streams, d.viewers} {
		for _, doc := range documents {
			if doc.node == node {
				n++
			}
		}
	}
	if _, there := d.leases[node]; there {
		n++
	}
	return n
}

// counts are the numbers of viewers that the streams' documents tell.
func (d *direct) counts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := make(map[string]int)
	for name, s := range d.streams {
		counts[name] = s.count
	}
	return counts
}
