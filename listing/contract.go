package listing

import (
	"context"
	"errors"
	"time"

	"siaran"
)

// ErrNoIndex says that the database lacks an index. Only the clean-up after dead servers needs one; everything else
// works.
var ErrNoIndex = errors.New("an index is missing: deploy firestore.indexes.json")

// WritePacer is a siaran.Listing with a write rate of its own. Without it the reporter writes the changes of one
// broadcast at most once a second.
type WritePacer interface {
	// WritePause returns the minimum time between two writes about one broadcast while its status stays the same.
	WritePause() time.Duration
}

// Reconciler is a siaran.Listing in which sweeping everything of a node and writing it again costs too much. The
// reporter corrects what is wrong instead.
type Reconciler interface {
	// Reconcile ends the node's streams and broadcasts that are not in live; they would be live again with the node's
	// lease. Like Sweep it returns the number of streams. It fails quickly when the database does not answer.
	Reconcile(ctx context.Context, node string, live map[siaran.BroadcastID]bool) (swept int, err error)

	// ReconcileViewers goes through all viewers that are listed for the node, and removes those for whom watches
	// returns false. It may take minutes.
	ReconcileViewers(ctx context.Context, node string, watches func(siaran.BroadcastID, siaran.ViewerID) bool) error
}

// Readier is a siaran.Listing that knows whether it can be relied on.
type Readier interface {
	// Ready returns nil, or the reason in plain words why the listing cannot be relied on.
	Ready(ctx context.Context) error
}

// Neighbours is a siaran.Listing that knows from memory what is live and where, so that asking costs nothing. While the
// database does not answer it goes on with what it knew last.
type Neighbours interface {
	// Nodes returns the servers with a valid lease. The list must not be changed.
	Nodes() []siaran.Node
	// Live returns a stream that is live. It fails with siaran.ErrNotLive if it is not, and with siaran.ErrUnknownNode if
	// that is not known now.
	Live(name siaran.StreamName) (siaran.Stream, error)
	// Whereabouts returns where a stream is listed as live, whether or not the server that has it is still alive; false
	// if it is not.
	Whereabouts(name siaran.StreamName) (siaran.Whereabouts, bool)
}
