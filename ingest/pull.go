package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"siaran"
)

// Why a pull has ended, besides what [siaran.Publication.Err] says when its broadcast was taken over or ended.
var (
	ErrStalled     = errors.New("no packet has come from the parent for too long")
	ErrParentEnded = errors.New("the parent has ended the session")
	ErrPullClosed  = errors.New("the pull was closed here")
)

// ErrParent is in every error of [Server.Pull] that is the parent's fault; the text says which.
var ErrParent = errors.New("the parent cannot be pulled from")

// PullConfig describes a pull of a stream from another server, the parent. Stream, Owner and Exchange must be given.
type PullConfig struct {
	Stream siaran.StreamName // here

	// Owner is the owner of the broadcast here. A pull takes over a broadcast of its owner; a broadcaster, who has
	// another, gets ErrStreamTaken as long as the pull goes on.
	Owner string

	// Exchange posts the offer to the parent and returns what it answers. It is called once, with a context that ends
	// with that of Pull. Whatever else the parent's response has, such as the Location to be deleted, is kept by
	// whoever writes Exchange.
	Exchange func(ctx context.Context, offer []byte) (PullAnswer, error)
}

// PullAnswer is the response to an offer. Broadcast and StartedAt are empty for servers that do not say them.
type PullAnswer struct {
	SDP       []byte
	Broadcast siaran.BroadcastID
	StartedAt time.Time
}

// Pulled is a stream that comes from another server. Its methods may be called from any goroutine.
type Pulled struct {
	done chan struct{}
	err  error // set before done is closed
}

// Pull starts a session that receives the stream from another server. It returns when the broadcast is live here: the
// first media has come. A broadcast of the same owner goes on until then, and its viewers stay.
func (s *Server) Pull(_ context.Context, _ PullConfig) (*Pulled, error) {
	return nil, fmt.Errorf("ingest: pull: %w", errors.ErrUnsupported)
}

// Done returns a channel that is closed when the pull has ended and nothing of it is left. The broadcast waits for the
// hub's grace time; who wants it to end before calls [siaran.Hub.EndOf].
func (p *Pulled) Done() <-chan struct{} { return p.done }

// Err says why it has ended, once Done is closed.
func (p *Pulled) Err() error { return p.err }

// Close ends the pull and waits until nothing of it is left.
func (p *Pulled) Close() { <-p.done }

// Audience tells the parent how many viewers are below it here now, and how many have joined so far (RTCP APP "SIRN",
// RFC 3550 section 6.7). It may be called as often as there is something new.
func (p *Pulled) Audience(_ int, _ uint64) {}
