package listing

import (
	"time"

	"siaran"
)

const maxPosts = 10_000 // broadcasts of which it is remembered what was written

// role is what a broadcast is to its stream's document.
type role int

const (
	hidden role = iota // a newer broadcast is shown
	shown
	edge // the stream's own broadcast, served by another node as well: that node's viewers are added up
)

// post is what has been written of a broadcast.
type post struct {
	node    string
	state   siaran.BroadcastState
	role    role
	over    bool      // nothing that comes later counts
	updated time.Time // of the stream's document, by the database's clock
}

// posted is what has been written of a broadcast for a node.
func (f *Firestore) posted(id siaran.BroadcastID, node string) (post, bool) {
	f.posts.mu.Lock()
	defer f.posts.mu.Unlock()
	p, ok := f.posts.byID[id]
	return p, ok && p.node == node && !(f.strict && !p.over) && !f.mirror.replaced(p)
}

func (f *Firestore) post(p post) {
	f.posts.mu.Lock()
	defer f.posts.mu.Unlock()
	if _, there := f.posts.byID[p.state.ID]; !there && len(f.posts.byID) >= maxPosts {
		for id := range f.posts.byID { // any one: what is not known is looked up
			delete(f.posts.byID, id)
			break
		}
	}
	f.posts.byID[p.state.ID] = p
}

// rewritten says when the stream's document was written again by us, beside what is posted. Whoever has posted something else
// since knows better.
func (f *Firestore) rewritten(p post, at time.Time) {
	f.posts.mu.Lock()
	defer f.posts.mu.Unlock()
	now, there := f.posts.byID[p.state.ID]
	if there && now.node == p.node && now.role == shown && !now.over && now.updated.Equal(p.updated) {
		now.updated = at
		f.posts.byID[p.state.ID] = now
	}
}

// forget has everything of a node written anew.
func (f *Firestore) forget(node string) {
	f.posts.mu.Lock()
	defer f.posts.mu.Unlock()
	for id, p := range f.posts.byID {
		if p.node == node {
			delete(f.posts.byID, id)
		}
	}
	f.sums.forget(node)
}
