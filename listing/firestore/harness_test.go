package firestore

import (
	"context"
	"slices"
	"testing"
	"time"

	"siaran/listing"

	"cloud.google.com/go/firestore"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/testutil"
)

// station is a server's hub, reporter and listing, with short leases.
type station struct {
	t        testing.TB
	name     string
	hub      *siaran.Hub
	f        *Listing
	reporter *listing.Reporter
	cancel   context.CancelFunc
	ended    chan error
}

const shortLease = 3 * time.Second

var short = listing.WithLease(shortLease)

func startStation(t testing.TB, name string, cfg Config, options ...listing.Option) *station {
	t.Helper()
	cfg.Logger = testLogger(t).With("node", name)
	s := &station{
		t:     t,
		name:  name,
		hub:   siaran.NewHub(30*time.Second, codec.NewFramer),
		f:     open(t, cfg),
		ended: make(chan error, 1),
	}
	node := siaran.Node{Name: name, URL: "http://" + name + ".example"}
	r := listing.NewReporter(s.hub, s.f, node, cfg.Logger, options...)
	ctx, cancel := context.WithCancel(context.Background())
	s.reporter, s.cancel = r, cancel
	go func() { s.ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		s.hub.Close()
		if s.ended != nil {
			<-s.ended
		}
	})
	return s
}

func (s *station) stop() {
	s.t.Helper()
	s.hub.Close()
	s.cancel()
	if err := <-s.ended; err != nil {
		s.t.Error("Run:", err)
	}
	s.ended = nil
}

// crash makes the server vanish as if it had been killed: it writes nothing any more.
func (s *station) crash() {
	s.f.Close()
	s.cancel()
	<-s.ended
	s.ended = nil
	s.hub.Close()
}

// documents is what is in the database, read as any Firebase app would.
type documents struct {
	streams    map[string]fields
	viewers    map[string][]string // ids by stream
	broadcasts map[string]fields
	nodes      map[string]fields
}

func (s *station) read() documents { return readDocuments(s.t, s.f.client) }

// readDocuments returns nothing when the database does not answer.
func readDocuments(t testing.TB, client *firestore.Client) documents {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testutil.Patience)
	defer cancel()
	d := documents{map[string]fields{}, map[string][]string{}, map[string]fields{}, map[string]fields{}}
	for group, take := range map[string]func(*firestore.DocumentSnapshot){
		"streams":    func(s *firestore.DocumentSnapshot) { d.streams[s.Ref.ID] = s.Data() },
		"broadcasts": func(s *firestore.DocumentSnapshot) { d.broadcasts[s.Ref.ID] = s.Data() },
		"viewers": func(s *firestore.DocumentSnapshot) {
			stream := s.Ref.Parent.Parent.ID
			d.viewers[stream] = append(d.viewers[stream], s.Ref.ID)
		},
		"nodes": func(s *firestore.DocumentSnapshot) {
			if s.Ref.Parent.Parent == nil {
				d.nodes[s.Ref.ID] = s.Data()
			}
		},
	} {
		list, err := client.CollectionGroup(group).Documents(ctx).GetAll()
		if err != nil {
			t.Logf("reading %s: %v", group, err)
			return documents{}
		}
		for _, snap := range list {
			take(snap)
		}
	}
	return d
}

// agrees reports whether a stream's documents show its broadcast as live on node with these viewers.
func (d documents) agrees(p *siaran.Publication, node string, want []siaran.ViewerID) bool {
	b := p.Broadcast()
	m := d.streams[string(b.Stream())]
	if m.text("status") != "live" || m.text("broadcastId") != string(b.ID()) || m.text("node") != node ||
		m.number("viewers") != len(want) {
		return false
	}
	ids := make([]string, len(want))
	for i, id := range want {
		ids[i] = string(id)
	}
	slices.Sort(ids)
	got := slices.Sorted(slices.Values(d.viewers[string(b.Stream())]))
	return slices.Equal(got, ids)
}
