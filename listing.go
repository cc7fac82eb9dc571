package siaran

import (
	"context"
	"slices"
	"time"
)

// Visibility says who may see a stream and watch it.
type Visibility string

// A private stream appears in no public list and can only be watched with a token.
const (
	VisibilityPublic  Visibility = "public"
	VisibilityPrivate Visibility = "private"
)

// Stream is what the listing knows about one stream, live or not.
type Stream struct {
	Name          StreamName
	Title         string
	Description   string
	Owner         string
	Visibility    Visibility
	KeyGeneration int // starts at 0; tokens of older generations are void
	MaxViewers    int // at the same time on one server; 0: as many as the server allows
	EmbedSites    EmbedSites

	// Of a stream that is another server's: the generation there of tokens for all streams. nil: this server's counts.
	TokenGeneration *int

	// Zero while the stream is offline, except UpdatedAt.
	Status      Status // live or interrupted only while the lease of its node is valid
	Node        string // where it is live
	BroadcastID BroadcastID
	StartedAt   time.Time
	Video       *VideoState
	Audio       *AudioState
	Layers      []LayerState
	Viewers     int
	UpdatedAt   time.Time
}

// Equal reports whether the two say the same. Times are equal when they are the same moment.
func (s Stream) Equal(other Stream) bool {
	return s.Name == other.Name && s.Title == other.Title && s.Description == other.Description &&
		s.Owner == other.Owner && s.Visibility == other.Visibility && s.KeyGeneration == other.KeyGeneration &&
		s.MaxViewers == other.MaxViewers && s.EmbedSites == other.EmbedSites &&
		sameTrack(s.TokenGeneration, other.TokenGeneration) &&
		s.Status == other.Status && s.Node == other.Node && s.BroadcastID == other.BroadcastID &&
		s.StartedAt.Equal(other.StartedAt) && s.Viewers == other.Viewers && s.UpdatedAt.Equal(other.UpdatedAt) &&
		sameTrack(s.Video, other.Video) && sameTrack(s.Audio, other.Audio) && slices.Equal(s.Layers, other.Layers)
}

func sameTrack[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// SameButCounts reports whether nothing but the numbers of viewers differs between two states of one broadcast.
func (b BroadcastState) SameButCounts(other BroadcastState) bool {
	return b.Status == other.Status && b.EndReason == other.EndReason &&
		sameTrack(b.Video, other.Video) && sameTrack(b.Audio, other.Audio) && slices.Equal(b.Layers, other.Layers)
}

// StreamEdit is a change to a stream; nil fields stay as they are.
type StreamEdit struct {
	Title, Description *string
	Visibility         *Visibility
	Owner              *string
	MaxViewers         *int
	EmbedSites         *EmbedSites
}

// StreamQuery selects streams.
type StreamQuery struct {
	All     bool   // include streams that are offline
	Private bool   // include private streams
	Owner   string // only streams of this account; empty for all
	Limit   int    // 0 or less means 100; at most 1000
}

// Node is a server as others see it.
type Node struct {
	Name       string
	URL        string // where people reach it, without a trailing slash; empty when unknown
	LeaseUntil time.Time
	Viewers    int     // who watch there
	Region     string  // where it stands; servers of one region are near each other
	Capacity   int     // the viewers that it has room for; 0: others send it none
	Use        float64 // of its processors and network, as it measures: 1 means that it takes no further viewers
	Draining   bool    // it is about to end: nobody new is sent there
}

// ViewerRecord is a viewer in the listing.
type ViewerRecord struct {
	Stream    StreamName
	Broadcast BroadcastID
	Node      string
	Viewer
}

// BroadcastRecord is a past or present broadcast in the history of its stream. Owner is empty where anyone may read the
// history.
type BroadcastRecord struct {
	Node string
	BroadcastState
}

// Update lists what has changed on a node, in order. Applying the same update twice is harmless.
type Update struct {
	Node    string
	At      time.Time
	Changes []Change
}

// StreamEvent is a change to a stream, which is now as Stream says. Gone means that it is no longer live, or no longer
// public; Stream is then offline and holds only what was public.
type StreamEvent struct {
	Stream Stream
	Gone   bool
}

// Listing holds what is known about all streams on all servers: what is live and who watches. Implementations are safe
// for concurrent use. Errors other than those named come from the database and may be temporary. Times have at least
// millisecond resolution. Reads see everything that any server has written; only Watch may lag. A limit of 0 or less
// means 100; limits above 1000 mean 1000.
type Listing interface {
	// Stream returns one stream. With ErrUnknownStream it returns the key generation that applies to tokens for the
	// name: deleting a stream does not reset it.
	Stream(ctx context.Context, name StreamName) (Stream, error)

	// Streams returns streams: first those that are live, the newest broadcast first, then the others by name. Without an
	// Owner in the query their Owner and KeyGeneration are empty: reading them may cost more, and Stream is what to ask
	// before a decision.
	Streams(ctx context.Context, q StreamQuery) ([]Stream, error)

	// Edit changes a stream, and creates it when it does not exist; a new one is public. A change of owner makes all
	// tokens of the stream void, as RotateKeys does, in the same step.
	Edit(ctx context.Context, name StreamName, edit StreamEdit) (Stream, error)

	// RotateKeys makes all tokens of the stream void and returns the new key generation. It creates the stream when it
	// does not exist.
	RotateKeys(ctx context.Context, name StreamName) (int, error)

	// Delete removes a stream and its history, and makes all its tokens void. The next use of the name creates a new
	// stream. It fails with ErrUnknownStream, and with ErrStreamLive while the stream is live.
	Delete(ctx context.Context, name StreamName) error

	// Claim gives a stream to node for a broadcast, and creates the stream when it does not exist. It fails with
	// ErrStreamTaken when the stream is live on another node whose lease is valid. A claim is not stored: when two
	// nodes go live after it, the broadcast that began last is shown.
	//
	// owner is the account that publishes ("firebase:UID"). The first account to claim a stream without an owner
	// becomes its owner; for any other account the call fails with ErrNotOwner. owner is empty for callers with one of
	// our own tokens, which the stream's key generation covers. An account that already owns most streams gets
	// ErrTooManyNames instead of another one, however many claims it makes at the same time; 0 means any number. A
	// claim that fails changes nothing.
	Claim(ctx context.Context, name StreamName, node, owner string, most int) error

	// Apply writes what has changed on a node. A broadcast that has ended goes to the history and makes its stream
	// offline, unless a newer broadcast of the stream is known. All its viewers are removed, whether Left names them or
	// not. Later changes to a broadcast that has ended are ignored, unless a sweep or the end of its server ended it
	// ([EndReason.Revocable]): its node knows better.
	Apply(ctx context.Context, u Update) error

	// Renew extends a node's lease to LeaseUntil; a time in the past ends it. A broadcast on a node without a valid
	// lease is not live for any reader.
	Renew(ctx context.Context, node Node) error

	// Node returns a server whose lease is valid, or ErrUnknownNode. LeaseUntil, Viewers and Use may be as they were a
	// little earlier, or, of the viewers, differ by a twentieth of the capacity.
	Node(ctx context.Context, name string) (Node, error)

	// Sweep cleans up after dead nodes: their streams become offline, their viewers are removed, and their broadcasts
	// end with EndCrashed. It returns the number of streams. With the name of a node it cleans up after that node,
	// whatever its lease; a server does so when it starts under that name.
	Sweep(ctx context.Context, node string) (int, error)

	// Viewers returns the present viewers of a stream in the order they joined; none when the stream is unknown.
	Viewers(ctx context.Context, name StreamName) ([]ViewerRecord, error)

	// Broadcasts returns the history of a stream, newest first, at most limit.
	Broadcasts(ctx context.Context, name StreamName, limit int) ([]BroadcastRecord, error)

	// Watch reports the public streams that are live, and then each change to one, until ctx ends or the database
	// fails. It returns that error. It calls snapshot once, then event from the same goroutine; when changes come
	// faster than event returns, they are merged into the newest state.
	Watch(ctx context.Context, snapshot func([]Stream), event func(StreamEvent)) error

	// Close closes the database. From then on Watch and every call return ErrClosed.
	Close() error
}
