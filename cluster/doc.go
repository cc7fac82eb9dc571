// Package cluster makes this server an edge of others: a stream that viewers ask for and that is not here is pulled,
// once for all of them, and let go when nobody watches it any more. It comes from one parent, or from [Peers], the
// servers that share a listing with this one.
//
// [Cluster] has one goroutine for each stream that is pulled:
//
//	            Ensure                    first media
//	(nothing) ─────────► asking the parent ──────────► SERVING ──nobody for Linger──► (nothing)
//	    ▲                     │ it fails                │    ▲
//	    │◄────────────────────┘              media ends │    │ media again
//	    │                                               ▼    │
//	    └──── the broadcast has ended here ◄─────── asking again, after 0.25, 0.5, 1, 2, 2, ... seconds
//
// While it asks again, viewers keep their sessions and the broadcast is interrupted, for the grace time of the hub. If
// the parent says that the stream is not live, the broadcast stops, as if its broadcaster had stopped it.
//
// A broadcaster may come to any of several peers (siaran.Whereabouts). The pull there is let go (LetGo), the others ask
// that server at once, and the one that had the broadcaster pulls like them.
//
// Among peers, [Rank] is the order in which servers are a stream's. By it [Parents] says whom a server pulls from, and
// [Placer] which server serves a viewer.
//
// [Directory] is what the parent says about streams, and [Listing] adds that to the server's own listing.
//
// Questions to the parent carry the way that they have come (siaran.Way), and answers the way of the media, so that no
// server pulls from itself. A pull is for everybody, and begins a way of its own.
package cluster
