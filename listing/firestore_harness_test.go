package listing

import (
	"context"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
)

// station is a server's hub, reporter and listing, with short leases.
type station struct {
	t        testing.TB
	name     string
	hub      *siaran.Hub
	f        *Firestore
	reporter *Reporter
	cancel   context.CancelFunc
	ended    chan error
}

const (
	shortLease   = 3 * time.Second
	shortRenewal = time.Second
)

func startStation(t testing.TB, name string, cfg FirestoreConfig, options ...func(*Reporter)) *station {
	t.Helper()
	cfg.Logger = testLogger(t).With("node", name)
	s := &station{t: t, name: name, hub: siaran.NewHub(30 * time.Second), f: openFirestore(t, cfg), ended: make(chan error, 1)}
	r := NewReporter(s.hub, s.f, siaran.Node{Name: name, URL: "http://" + name + ".example"}, cfg.Logger)
	for _, o := range options {
		o(r)
	}
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

func short(r *Reporter) { r.lease, r.renewal = shortLease, shortRenewal }

func (s *station) stop() {
	s.t.Helper()
	s.hub.Close()
	s.cancel()
	if err := <-s.ended; err != nil {
		s.t.Error("Run:", err)
	}
	s.ended = nil
}

// crash has the server vanish as if it had been killed: it writes nothing any more.
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
	counts     map[string]fields // by stream/node
}

func (s *station) read() documents { return readDocuments(s.t, s.f.client) }

// readDocuments has nothing when the database does not answer.
func readDocuments(t testing.TB, client *firestore.Client) documents {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	d := documents{map[string]fields{}, map[string][]string{}, map[string]fields{}, map[string]fields{}, map[string]fields{}}
	for group, take := range map[string]func(*firestore.DocumentSnapshot){
		"streams":    func(s *firestore.DocumentSnapshot) { d.streams[s.Ref.ID] = s.Data() },
		"broadcasts": func(s *firestore.DocumentSnapshot) { d.broadcasts[s.Ref.ID] = s.Data() },
		"viewers": func(s *firestore.DocumentSnapshot) {
			stream := s.Ref.Parent.Parent.ID
			d.viewers[stream] = append(d.viewers[stream], s.Ref.ID)
		},
		"nodes": func(s *firestore.DocumentSnapshot) {
			if stream := s.Ref.Parent.Parent; stream != nil {
				d.counts[stream.ID+"/"+s.Ref.ID] = s.Data()
			} else {
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

// agrees tells whether the database says of a stream what its broadcast's viewers are.
func (d documents) agrees(p *siaran.Publication, node string, want []siaran.ViewerID) bool {
	b := p.Broadcast()
	m := d.streams[string(b.Stream())]
	if m.text("status") != "live" || m.text("broadcastId") != string(b.ID()) || m.text("node") != node || m.number("viewers") != len(want) {
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
