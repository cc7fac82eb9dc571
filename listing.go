package siaran

import (
	"context"
	"time"
)

// Visibility is who may know of a stream and watch it.
type Visibility string

// A private stream is in no public list and is watched with a token only.
const (
	VisibilityPublic  Visibility = "public"
	VisibilityPrivate Visibility = "private"
)

// Stream is what the listing knows of one stream, live or not.
type Stream struct {
	Name          StreamName
	Title         string
	Description   string
	Owner         string
	Visibility    Visibility
	KeyGeneration int // 0 in the beginning; tokens of older generations are void

	// Zero while the stream is offline, except UpdatedAt.
	Status      Status // live or interrupted only while its node's lease is valid
	Node        string // where it is live
	BroadcastID BroadcastID
	StartedAt   time.Time
	Video       *VideoState
	Audio       *AudioState
	Layers      []LayerState
	Viewers     int
	UpdatedAt   time.Time
}

// StreamEdit changes what is not nil.
type StreamEdit struct {
	Title, Description *string
	Visibility         *Visibility
	Owner              *string
}

// StreamQuery chooses among streams.
type StreamQuery struct {
	All     bool   // also those that are offline
	Private bool   // also private ones
	Owner   string // of this account only; empty: of all
	Limit   int    // 0 or less means 100; at most 1000
	MayLag  bool   // for those who may ask as often as they like: what is public may be as it was a few minutes ago
}

// Node is a server, as others see it.
type Node struct {
	Name       string
	URL        string // where people reach it, without a slash at the end; empty when it does not know
	LeaseUntil time.Time
	Viewers    int
}

// ViewerRecord is a viewer in the listing.
type ViewerRecord struct {
	Stream    StreamName
	Broadcast BroadcastID
	Node      string
	Viewer
}

// BroadcastRecord is a broadcast that is or was, in the history of its stream.
type BroadcastRecord struct {
	Node string
	BroadcastState
}

// Update is what a node says has changed, in that order. Applying the same update twice is harmless.
type Update struct {
	Node    string
	At      time.Time
	Changes []Change
}

// StreamEvent tells that a stream is now as Stream says. Gone means that it is not live any
// more, or not public any more; Stream is then offline, and says only what was public.
type StreamEvent struct {
	Stream Stream
	Gone   bool
}

// Listing is what is known of all streams, on all servers: what is live and who watches.
// Implementations are safe for many goroutines. Errors other than those named are of the
// database and may pass by themselves. Times given and returned have at least millisecond resolution.
// Reads see what has been written, on whichever server; only Watch may lag, and Streams where the query says so. A limit of 0 or
// less means 100, and none is above 1000.
type Listing interface {
	// Stream returns one stream, or ErrUnknownStream.
	Stream(ctx context.Context, name StreamName) (Stream, error)

	// Streams returns streams: live ones first by when they started, newest first, then by name.
	Streams(ctx context.Context, q StreamQuery) ([]Stream, error)

	// Edit changes a stream and creates it when it is not there; a new one is public.
	Edit(ctx context.Context, name StreamName, edit StreamEdit) (Stream, error)

	// RotateKeys makes all tokens of the stream void and returns the new generation. It creates the stream when it is not there.
	RotateKeys(ctx context.Context, name StreamName) (int, error)

	// Claim gives a stream to node for a broadcast, creating the stream when it is not there.
	// It fails with ErrStreamTaken when another node whose lease is valid has it live. A claim is
	// not kept: of two nodes that go live after it, the broadcast that began last is shown.
	// owner is the account that publishes ("firebase:UID"): the first to claim a stream without an owner
	// keeps it, and for every other the call fails with ErrNotOwner. It is empty for who comes with a token of
	// our own, which the stream's key generation guards. What fails changes nothing.
	Claim(ctx context.Context, name StreamName, node, owner string) error

	// Apply writes what has changed on a node. A broadcast that has ended goes to the
	// history and makes its stream offline, unless a newer broadcast of the stream is known;
	// all its viewers go with it, whether Left names them or not. What comes later of a
	// broadcast that has ended is ignored, unless a sweep ended it: its node knows better.
	Apply(ctx context.Context, u Update) error

	// Renew holds a node's lease until LeaseUntil; a time that is not to come gives it back. What is
	// live on a node whose lease has run out, or that never had one, is not live for any reader.
	Renew(ctx context.Context, node Node) error

	// Node returns a server whose lease is valid, or ErrUnknownNode.
	Node(ctx context.Context, name string) (Node, error)

	// Sweep takes away what dead nodes have left: their streams become offline, their viewers go, and their
	// broadcasts end with EndCrashed. It returns how many streams were swept. With a node's name it
	// sweeps that node's whatever its lease; a server does so when it starts under that name.
	Sweep(ctx context.Context, node string) (int, error)

	// Viewers returns who watches a stream now, in the order they came; nobody when the stream is unknown.
	Viewers(ctx context.Context, name StreamName) ([]ViewerRecord, error)

	// Broadcasts returns the history of a stream, newest first, at most limit.
	Broadcasts(ctx context.Context, name StreamName, limit int) ([]BroadcastRecord, error)

	// Watch calls for every public stream that is live, and then for each change of one, until ctx ends;
	// it returns ctx's error or the database's. snapshot is called once, first; event then, from the same
	// goroutine, with the newest state where changes came faster than they were taken.
	Watch(ctx context.Context, snapshot func([]Stream), event func(StreamEvent)) error

	// Close lets go of the database. Watch returns, and every call fails, with ErrClosed from then on.
	Close() error
}
